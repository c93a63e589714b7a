import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HeadEvidence } from "../evidence.ts";
import type { CompressionOptions } from "../compression-options.ts";
import type { Ranking } from "../ranking.ts";
import { resolveCompression } from "../resolve.ts";
import { METHODS } from "../methods.ts";
import type { BudgetPolicy, RankedLayer } from "./budget.ts";
import { perLayer } from "../wrappers/per-layer.ts";
import { BudgetPlan } from "./plan.ts";

/** Layers whose heads have these scores, one array a head, as a plan is asked for them. */
function plan(options: CompressionOptions, layers: readonly (readonly number[][])[]): number[][][] {
  const compression = resolveCompression(options);
  const nTokens = layers[0]?.[0]?.length ?? 0;
  const shape = { nLayer: layers.length, nHeadKv: layers[0]?.length ?? 0, nTokens };
  const budgets = new BudgetPlan(compression, shape);
  return layers.map((heads, il) => {
    const rankings = heads.map((scores): Ranking => ({ scores: Float32Array.from(scores) }));
    const evidence = { il, heads: heads.map(({ length: n }) => ({ n }) as HeadEvidence) };
    return budgets.add(il, { evidence, rankings }).map((layer) => [...layer]);
  });
}

const flat = new Array<number>(100).fill(1);
const peaked = flat.map((_, i) => (i < 5 ? 100 : 0.01));
const sum = (budgets: readonly (readonly number[])[]) => budgets.flat().reduce((a, b) => a + b, 0);
const none = { window: 0, sinks: 0 };

describe("budgets by what is seen", () => {
  it("ada gives a layer's tokens to the head whose scores are spread, above a floor", () => {
    const [budgets] = plan({ method: "ada:0.2(snapkv)", kvSize: 20, ...none }, [[flat, peaked]]);
    expect(sum(budgets ?? [])).toBe(40);
    const [spread = 0, narrow = 0] = budgets?.[0] ?? [];
    expect(spread).toBeGreaterThan(narrow);
    expect(narrow).toBeGreaterThanOrEqual(4);
  });

  it("ada divides as its authors do: a count of the layer's best scores, and a floor", () => {
    const scores = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 300, maxLength: 300 }); // prettier-ignore
    const sizes = fc.constantFrom(40, 64, 128, 256);
    fc.assert(
      fc.property(fc.array(scores, { minLength: 2, maxLength: 8 }), sizes, (drawn, kvSize) => {
        // Powers make heads differ; what is always kept lies at the ends.
        const heads = drawn.map((own, h) => own.map((x, i) => x ** (h + 1) + 1e-5 * i + 1e-6 * h));
        const options = {
          method: "ada:0.2(snapkv)",
          kvSize,
          window: 32,
          sinks: 0,
        } as const;
        const [budgets] = plan(options, [heads]);
        const compared = heads.map((own) => own.slice(0, 300 - 32).map(Math.fround));
        const k = heads.length * (kvSize - 32);
        const least = compared.flat().sort((a, b) => b - a)[k - 1] as number;
        compared.forEach((own, h) => {
          const theirs = 32 + 0.8 * own.filter((x) => x >= least).length + (0.2 * k) / heads.length;
          expect(Math.abs((budgets?.[0]?.[h] as number) - theirs)).toBeLessThan(2);
        });
      }),
      { numRuns: 30 },
    );
  });

  it("cake gives all layers' tokens to the layer whose scores are spread, and never gives back", () => {
    const steps = plan({ method: "cake(snapkv)", kvSize: 20, ...none }, [
      [peaked, peaked],
      [flat, flat],
      [peaked, peaked],
    ]);
    const last = steps.at(-1) ?? [];
    expect(sum(last)).toBe(3 * 2 * 20);
    expect(last[1]?.[0]).toBeGreaterThan(last[0]?.[0] ?? Infinity);
    steps
      .slice(1)
      .forEach((step, i) =>
        steps[i]?.forEach((layer, il) =>
          layer.forEach((b, h) => expect(step[il]?.[h]).toBeLessThanOrEqual(b)),
        ),
      );
  });

  it("coverage keeps as many tokens as hold the share, the window on top", () => {
    const options = { method: "coverage:0.99(snapkv)", window: 3, sinks: 0 };
    const [budgets] = plan(options, [[peaked, peaked]]);
    expect(budgets?.[0]).toEqual([5 + 3, 5 + 3]);
  });

  const unequal = {
    weighed: {
      name: "w",
      summary: "",
      kind: "weighed",
      least: () => 1,
      weigh: ({ evidence }: RankedLayer) => (evidence.il === 0 ? [5, 0] : [1, 2]),
    },
    measured: { name: "m", summary: "", kind: "measured", measure: () => [30, 11] },
    heads: { name: "h", summary: "", kind: "heads", heads: () => [[90, 10], [4, 21]] }, // prettier-ignore
  } as const satisfies Record<string, BudgetPolicy>;
  const levelled = { weighed: [[26, 26], [16, 16]], measured: [[21, 21], [21, 21]], heads: [[50, 50], [13, 13]] }; // prettier-ignore

  it.each(["weighed", "measured", "heads"] as const)("per-layer levels %s budgets", (kind) => {
    const { method } = perLayer.wrap({ method: { ...METHODS.snapkv, budget: unequal[kind] } });
    const layers = [[flat, flat], [flat, flat]]; // prettier-ignore
    expect(plan({ method, kvSize: 21, ...none }, layers).at(-1)).toEqual(levelled[kind]);
  });

  it("a given budget goes into what wrappers make of it, and not under what divides anew", () => {
    const budgets = [[30, 20], [10, 12]]; // prettier-ignore
    const layers = [[flat, flat], [flat, flat]]; // prettier-ignore
    expect(plan({ method: "per-layer(chunk(snapkv))", budgets }, layers).at(-1)).toEqual(
      [[25, 25], [11, 11]], // prettier-ignore
    );
    for (const wrapper of ["uniform", "pyramid", "inverted", "cake", "coverage"]) {
      const asked = { method: `${wrapper}(snapkv)`, budgets };
      expect(() => resolveCompression(asked)).toThrow(/divides the budget, which was given/);
    }
  });

  it("per-layer levels what a profile says of the heads", () => {
    const profile = { model: "m", weights: [[0.6, 0], [0.3, 0.1]], shares: [[0, 0], [0, 0]] }; // prettier-ignore
    const layers = [[flat, flat], [flat, flat]]; // prettier-ignore
    const budgets = plan({ method: "per-layer(funnel)", kvSize: 40, profile }, layers).at(-1) ?? [];
    expect(sum(budgets)).toBe(4 * 40);
    expect(budgets[0]?.[0]).toBeGreaterThan(budgets[1]?.[0] ?? Infinity);
    for (const [a, b] of budgets) expect(a).toBe(b);
  });

  it("head scores divide what every head gives away", () => {
    const scores = [[1, 0], [2, 1]]; // prettier-ignore
    const given = { method: "snapkv", kvSize: 20, budgets: { scores, beta: 2 }, ...none };
    const layers = [[flat, flat], [flat, flat]]; // prettier-ignore
    expect(plan(given, layers).at(-1)).toEqual([[20, 10], [30, 20]]); // prettier-ignore
    const even = { ...given, budgets: { scores, beta: 1e9 } };
    expect(sum(plan(even, layers).at(-1) ?? [])).toBe(80);
    const other = [[flat, flat, flat]];
    expect(() => plan(given, other)).toThrow(/2 layers of 2 kv heads, the model has 1 of 3/);
  });

  it.each([
    [{ scores: [] }, /head scores must be numbers/],
    [{ scores: [[1, -1]] }, /head scores must be numbers/],
    [{ scores: [[1, NaN]] }, /head scores must be numbers/],
    [{ scores: [[1]], beta: 0.5 }, /beta of head scores must be at least 1, got 0.5/],
    [{ layers: [1, 2] } as never, /head scores must be numbers/],
  ])("refuses %j as head scores", (budgets, message) => {
    expect(() => resolveCompression({ method: "snapkv", budgets })).toThrow(message);
  });

  it("a profile's shares are exact, and at least 16 tokens a head", () => {
    const profile = { model: "m", weights: [[0.5, 0.5], [0, 0]], shares: [[0, 0], [0, 0]] }; // prettier-ignore
    const budgets = plan({ method: "funnel", kvSize: 40, profile }, [[flat, flat], [flat, flat]]); // prettier-ignore
    expect(budgets.at(-1)).toEqual([[64, 64], [16, 16]]); // prettier-ignore
  });

  it("a list is kept as it is written", () => {
    const options = { method: "snapkv", budgets: [[30, 20], [10, 12]] }; // prettier-ignore
    expect(resolveCompression(options).options.kvSize).toBe(18);
    expect(plan(options, [[flat, flat], [flat, flat]]).at(-1)).toEqual([[30, 20], [10, 12]]); // prettier-ignore
    expect(() => plan({ method: "snapkv", budgets: [30, 20, 20] }, [[flat], [flat]])).toThrow(
      /the list of budgets has 3 layers, the model 2/,
    );
    expect(() => resolveCompression({ budgets: [30.5] })).toThrow(/whole numbers of at least 1/);
  });
});
