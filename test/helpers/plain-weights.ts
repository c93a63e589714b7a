import { dot } from "./plain-attention.ts";
import type { TinyModel } from "./tiny-model.ts";

/** A model's tensors as plain functions, by their names in the file. */
export class PlainWeights {
  readonly #tensors: Map<string, Float32Array>;

  constructor(
    tensors: TinyModel["tensors"],
    readonly epsilon: number,
  ) {
    const floats = ({ data }: TinyModel["tensors"][number]) =>
      new Float32Array(data.buffer, data.byteOffset, data.length / 4);
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, floats(tensor)]));
  }

  has(name: string): boolean {
    return this.#tensors.has(`${name}.weight`);
  }

  /** A tensor's values, or those of its part `i` of `n`. */
  values(name: string, i = 0, n = 1): Float32Array | undefined {
    const all = this.#tensors.get(name);
    return all?.subarray((all.length / n) * i, (all.length / n) * (i + 1));
  }

  /** W x + bias, of expert `i` of `n`. */
  times(name: string, x: readonly number[], i = 0, n = 1): number[] {
    const w = this.values(`${name}.weight`, i, n) as Float32Array;
    const bias = this.values(`${name}.bias`, i, n);
    return Array.from(
      { length: w.length / x.length },
      (_, row) => dot(w.subarray(row * x.length, (row + 1) * x.length), x) + (bias?.[row] ?? 0),
    );
  }

  /** `x` over its root mean square. */
  rms(x: readonly number[]): number[] {
    const root = Math.sqrt(dot(x, x) / x.length + this.epsilon);
    return x.map((v) => v / root);
  }

  /** `x` after the norm of this name; as it is where there is none. */
  norm(name: string, x: readonly number[]): number[] {
    const w = this.values(`${name}.weight`);
    if (w === undefined) return [...x];
    const bias = this.values(`${name}.bias`);
    const mean = bias === undefined ? 0 : x.reduce((a, b) => a + b, 0) / x.length;
    const centred = x.map((v) => v - mean);
    const root = Math.sqrt(dot(centred, centred) / x.length + this.epsilon);
    return centred.map((v, i) => (v / root) * (w[i] as number) + (bias?.[i] ?? 0));
  }
}
