import { describe, expect, it } from "vitest";
import type { HeadEvidence, LayerEvidence } from "../../compression/evidence.ts";
import { Received, summedKinds } from "./received.ts";

/** One head of two query heads whose token j received j, and 10 j of the second. */
function layer(n: number): LayerEvidence {
  const head = {
    n,
    group: 2,
    headDim: 4,
    attention: () => Float32Array.from({ length: 2 * n }, (_, i) => (i < n ? i : 10 * (i - n))),
    counted: () => Float32Array.from({ length: n }, (_, j) => n - 1 - j),
  };
  return { il: 0, heads: [head as unknown as HeadEvidence] };
}

describe("Received", () => {
  it("goes on from what kept tokens had, whatever was cut since", () => {
    const received = new Received(["far-sums"]);
    received.adopt(layer(6), [Int32Array.of(1, 3, 4, 5)]);
    received.pick(0, [Int32Array.of(0, 2, 3)]); // tokens 1, 4, 5
    const now = new Float32Array([1, 1, 1, 1, 2, 2, 2, 2]);
    const sum = received.sum("far-sums", 0, 0, { n: 4, group: 2 }, now);
    expect(Array.from(sum)).toEqual([2, 5, 6, 1, 12, 42, 52, 2]);
    const positions = Int32Array.of(1, 4, 5, 6);
    const counts = received.counted("far-sums", 0, 0, { positions, nextPosition: 7, nNew: 1 });
    expect(Array.from(counts)).toEqual([4, 1, 0, 0]);
    // Queries that are far from a token by their positions, whatever was evicted between.
    const asked = { positions, nextPosition: 68, nNew: 2 };
    expect(Array.from(received.counted("far-sums", 0, 0, asked))).toEqual([6, 1, 0, 0]);
  });

  it("counts a decoded query as the part of a prompt's that are asked", () => {
    const received = new Received(["sampled-sums"]);
    const now = received.sum("sampled-sums", 0, 0, { n: 2, group: 1 }, Float32Array.of(4, 8));
    expect(Array.from(now)).toEqual([1, 2]);
    const counts = received.counted("sampled-sums", 0, 0, {
      positions: Int32Array.of(0, 1),
      nextPosition: 2,
      nNew: 2,
    });
    expect(Array.from(counts)).toEqual([0.5, 0.25]);
  });

  it("holds nothing where nothing is summed", () => {
    const received = new Received(summedKinds(["window", "keys", "peaks"]));
    received.adopt(layer(3), [Int32Array.of(0)]);
    const asked = { positions: Int32Array.of(0, 1, 2), nextPosition: 3, nNew: 2 };
    expect(Array.from(received.counted("sums", 0, 0, asked))).toEqual([2, 2, 1]);
    expect(summedKinds(["window", "far-sums", "sums"])).toEqual(["sums", "far-sums"]);
  });
});
