import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kthLargest, selectTokens } from "./select.ts";

const scores = fc.float32Array({ minLength: 1, maxLength: 200, noNaN: true, max: 8, min: -8 });

describe("selectTokens", () => {
  it("keeps what a plain sort would keep, lower position first on ties", () => {
    const input = fc.record({
      values: scores.map((s) => s.map((x) => Math.round(x))), // many ties
      budget: fc.integer({ min: 0, max: 200 }),
      sinks: fc.integer({ min: 0, max: 5 }),
      window: fc.integer({ min: 0, max: 20 }),
    });
    fc.assert(
      fc.property(input, ({ values, budget, sinks, window }) => {
        const n = values.length;
        const kept = selectTokens(n, budget, values, { sinks, window });
        const size = Math.min(budget, n);
        const first = Math.min(sinks, size);
        const tail = Math.min(window, size - first);
        const forced = (i: number) => (i < first ? 2 : i >= n - tail ? 2 : 1);
        const expected = Array.from(values, (score, i) => ({ score, i }))
          .sort((a, b) => forced(b.i) - forced(a.i) || b.score - a.score || a.i - b.i)
          .slice(0, size)
          .map(({ i }) => i)
          .sort((a, b) => a - b);
        expect(Array.from(kept)).toEqual(expected);
      }),
    );
  });

  it("keeps the sinks and the newest tokens where there are no scores", () => {
    const kept = selectTokens(10, 5, null, { sinks: 2, window: 0 });
    expect(Array.from(kept)).toEqual([0, 1, 7, 8, 9]);
  });

  it("keeps everything where the budget allows it", () => {
    expect(selectTokens(3, 9, new Float32Array(3), { sinks: 0, window: 0 })).toHaveLength(3);
  });
});

describe("kthLargest", () => {
  it("agrees with sorting", () => {
    fc.assert(
      fc.property(scores, fc.nat(), (values, at) => {
        const k = (at % values.length) + 1;
        const sorted = Array.from(values).sort((a, b) => b - a);
        expect(kthLargest(values.slice(), k)).toBe(sorted[k - 1]);
      }),
    );
  });
});
