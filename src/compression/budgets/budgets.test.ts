import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resolveCompression } from "../resolve.ts";
import { apportion } from "./apportion.ts";
import type { BudgetInput } from "./budget.ts";
import { pyramid } from "./pyramid.ts";

type Kept = readonly number[] | { all: number; L: number };
interface GoldenRow {
  L: number;
  cap: number;
  w: number;
  n: number;
  beta: number;
  factory: Kept;
  kvpress: Kept;
}

const golden = JSON.parse(
  readFileSync(new URL("../../../test/golden/budgets.json", import.meta.url), "utf8"),
) as { table: GoldenRow[] };

const expand = (kept: Kept): readonly number[] =>
  "all" in kept ? new Array<number>(kept.L).fill(kept.all) : kept;

function layersOf(input: BudgetInput): number[] {
  return pyramid.kind === "layers" ? pyramid.layers(input) : [];
}

function budgets(preset: string, row: GoldenRow): number[] {
  const { L: nLayer, cap: kvSize, w: window, n: nTokens, beta } = row;
  const { options } = resolveCompression({ method: "pyramidkv", preset, kvSize, window, beta });
  return layersOf({ nLayer, nHeadKv: 1, nTokens, options }).map((b) => Math.min(b, nTokens));
}

describe("pyramid budgets", () => {
  const rows = golden.table.filter((row) => row.cap > row.w && row.n > row.cap);

  it.each(rows)("equal KVCache-Factory's for $L layers, $cap kept, window $w, $n tokens", (row) => {
    expect(budgets("kvcache-factory", row)).toEqual(expand(row.factory));
  });

  it.each(rows)("equal kvpress's for $L layers, $cap kept, window $w, $n tokens", (row) => {
    const theirs = expand(row.kvpress);
    const ours = budgets("kvpress", row);
    // Python rounds halves to even, JavaScript up: a token may differ.
    ours.forEach((b, il) => expect(Math.abs(b - (theirs[il] ?? NaN))).toBeLessThanOrEqual(1));
  });

  it("keep the total exactly and never grow from layer to layer", () => {
    const shape = fc.record({
      nLayer: fc.integer({ min: 1, max: 100 }),
      window: fc.integer({ min: 0, max: 64 }),
      mean: fc.integer({ min: 1, max: 2000 }),
      more: fc.integer({ min: 1, max: 20_000 }),
      beta: fc.double({ min: 1, max: 100, noNaN: true }),
    });
    fc.assert(
      fc.property(shape, ({ nLayer, window, mean, more, beta }) => {
        const kvSize = window + mean;
        const nTokens = kvSize + more;
        const { options } = resolveCompression({ method: "pyramidkv", kvSize, window, beta });
        const kept = layersOf({ nLayer, nHeadKv: 1, nTokens, options });
        expect(kept.reduce((a, b) => a + b, 0)).toBe(nLayer * kvSize);
        kept.forEach((b, il) => {
          expect(b).toBeGreaterThanOrEqual(window);
          expect(b).toBeLessThanOrEqual(nTokens);
          expect(b).toBeLessThanOrEqual(kept[il - 1] ?? Infinity);
        });
      }),
    );
  });

  it("follow the paper's line: 2S − S/β at the bottom, S/β at the top", () => {
    const { options } = resolveCompression({
      method: "pyramidkv",
      kvSize: 128,
      window: 8,
      beta: 20,
    });
    const kept = layersOf({ nLayer: 30, nHeadKv: 3, nTokens: 6000, options });
    expect([kept[0], kept.at(-1)]).toEqual([2 * 120 - 6 + 8, 6 + 8]);
  });
});

describe("apportion", () => {
  it("stays within one of every share and sums to the total", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1e6 }), { minLength: 1 }), (weights) => {
        const total = Math.round(weights.reduce((a, b) => a + b, 0) / 7);
        const sum = weights.reduce((a, b) => a + b, 0) || 1;
        const shares = weights.map((w) => (w / sum) * (sum > 1 ? total : 0));
        const parts = apportion(shares, Math.round(shares.reduce((a, b) => a + b, 0)));
        parts.forEach((p, i) => expect(Math.abs(p - (shares[i] ?? 0))).toBeLessThanOrEqual(1));
      }),
    );
  });

  it("gives a tie to the lower index", () => {
    expect(apportion([1.5, 1.5, 1], 4)).toEqual([2, 1, 1]);
  });
});
