import { describe, expect, it } from "vitest";
import { pool, reduceGroup } from "./reduce.ts";

describe("reduceGroup", () => {
  const values = Float32Array.of(1, 2, 3, 6);

  it("averages or maximises over the query heads of a kv head", () => {
    expect(Array.from(reduceGroup(values, 2, "mean"))).toEqual([2, 4]);
    expect(Array.from(reduceGroup(values, 2, "max"))).toEqual([3, 6]);
    expect(Array.from(values)).toEqual([1, 2, 3, 6]);
  });
});

describe("pool", () => {
  const values = Float32Array.of(9, 1, 4, 2, 9);

  it("takes the maximum of the neighbours within the range", () => {
    expect(Array.from(pool(values, 1, 4, "max", 3))).toEqual([9, 4, 4, 4, 9]);
  });

  it("averages with zeros beyond the range, as torch does", () => {
    const pooled = Array.from(pool(values, 1, 4, "avg", 3));
    expect(pooled.map((x) => Math.round(x * 300) / 300)).toEqual(
      [9, 5 / 3, 7 / 3, 2, 9].map((x) => Math.round(x * 300) / 300),
    );
  });
});
