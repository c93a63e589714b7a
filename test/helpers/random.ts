export { seededRandom } from "../../src/random.ts";

/** `n` normally distributed numbers of the given deviation. */
export function normals(n: number, deviation: number, random: () => number): Float32Array {
  return Float32Array.from({ length: n }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return deviation * radius * Math.cos(2 * Math.PI * random());
  });
}
