import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { share } from "./share.ts";

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const heads = fc.array(
  fc.record({
    weight: fc.double({ min: 0, max: 10, noNaN: true }),
    cap: fc.integer({ min: 0, max: 500 }),
  }),
  { minLength: 1, maxLength: 60 },
);
const input = fc.record({
  heads,
  total: fc.integer({ min: 0, max: 5000 }),
  least: fc.integer({ min: 0, max: 40 }),
});

describe("share", () => {
  it("gives the total exactly, no more than anyone can take, and the least where there is enough", () => {
    fc.assert(
      fc.property(input, ({ heads, total, least }) => {
        const caps = heads.map((h) => h.cap);
        const shares = share(
          total,
          heads.map((h) => h.weight),
          least,
          caps,
        );
        expect(sum(shares)).toBe(Math.min(total, sum(caps)));
        const floor = Math.min(least, Math.floor(Math.min(total, sum(caps)) / heads.length));
        shares.forEach((s, i) => {
          expect(s).toBeLessThanOrEqual(caps[i] ?? 0);
          expect(s).toBeGreaterThanOrEqual(Math.min(floor, caps[i] ?? 0));
        });
      }),
    );
  });

  it("gives more to larger weights", () => {
    fc.assert(
      fc.property(input, ({ heads, total, least }) => {
        const caps = heads.map(() => 500);
        const weights = heads.map((h) => h.weight);
        const shares = share(total, weights, least, caps);
        weights.forEach((a, i) =>
          weights.forEach((b, j) => {
            if (a > b) expect(shares[i]).toBeGreaterThanOrEqual((shares[j] ?? 0) - 1);
          }),
        );
      }),
      { numRuns: 50 },
    );
  });

  it("divides by weight, and passes on what a full one cannot take", () => {
    expect(share(100, [1, 3], 0, [100, 100])).toEqual([25, 75]);
    expect(share(100, [1, 1, 2], 10, [100, 100, 20])).toEqual([40, 40, 20]);
    expect(share(7, [0, 0], 0, [9, 9])).toEqual([4, 3]);
  });
});
