import { describe, expect, it } from "vitest";
import { normals, seededRandom } from "../../../test/helpers/random.ts";
import { leverage } from "./leverage.ts";

const DIM = 8;

describe("leverage", () => {
  it("sums to the dimension, whatever the rows' scale", () => {
    const rows = normals(200 * DIM, 1, seededRandom(1)).map((x, i) => x * (1 + (i % DIM)));
    const scores = leverage(rows, DIM);
    expect(scores.reduce((a, b) => a + b, 0)).toBeCloseTo(DIM, 1);
    expect(Math.min(...scores)).toBeGreaterThan(0);
    const larger = leverage(rows.map((x) => 100 * x), DIM); // prettier-ignore
    scores.forEach((x, i) => expect(larger[i]).toBeCloseTo(x, 4));
  });

  it("is near 1 for the one row in a direction of its own, and small for many alike", () => {
    const rows = new Float32Array(101 * DIM);
    for (let i = 0; i < 100; i++) rows.set([1 + (i % 2), 2], i * DIM);
    rows[100 * DIM + 5] = 3;
    const scores = leverage(rows, DIM);
    expect(scores[100]).toBeGreaterThan(0.9);
    expect(Math.max(...scores.slice(0, 100))).toBeLessThan(0.05);
  });

  it("is finite for fewer rows than dimensions, equal rows and zeros", () => {
    for (const rows of [normals(3 * DIM, 1, seededRandom(2)), new Float32Array(40).fill(2)]) {
      expect(leverage(rows, DIM).every(Number.isFinite)).toBe(true);
    }
    expect(Array.from(leverage(new Float32Array(4 * DIM), DIM))).toEqual([0, 0, 0, 0]);
  });
});
