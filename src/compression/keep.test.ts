import fc from "fast-check";
import { expect, it } from "vitest";
import { keepTokens } from "./keep.ts";

const n = 120;
const values = fc.float32Array({ minLength: n, maxLength: n, noNaN: true, min: -4, max: 4 });

it("keeps a part of what a larger budget keeps, so that caches can be cut again", () => {
  const input = fc.record({
    scores: values,
    second: values.map((v) => v.map((x) => Math.round(x))),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    sinks: fc.integer({ min: 0, max: 5 }),
    window: fc.integer({ min: 0, max: 10 }),
    budgets: fc.tuple(fc.integer({ min: 15, max: n }), fc.integer({ min: 15, max: n })),
  });
  fc.assert(
    fc.property(input, ({ scores, second, share, sinks, window, budgets }) => {
      const ranking = { scores, second: { scores: second, share } };
      const [small, large] = [Math.min(...budgets), Math.max(...budgets)].map((budget) =>
        keepTokens(ranking, n, budget, { sinks, window }),
      ) as [Int32Array, Int32Array];
      expect(small).toHaveLength(Math.min(...budgets));
      const kept = new Set(large);
      expect(small.every((i) => kept.has(i))).toBe(true);
    }),
  );
});

it("lets the second opinion choose its share of what is not forced, of what the first did not choose", () => {
  const up = Float32Array.from({ length: 20 }, (_, i) => i);
  const down = up.map((x) => -x);
  const ranking = { scores: up, second: { scores: down, share: 0.5 } };
  const kept = keepTokens(ranking, 20, 8, { sinks: 2, window: 2 });
  expect(Array.from(kept)).toEqual([0, 1, 2, 3, 16, 17, 18, 19]);
});
