import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mean } from "../mean.ts";
import { fitBudget } from "./fit.ts";

const SIZES = [0, 8, 16, 64, 256];
const N = 300;

/** Errors that fall less and less, of one layer. */
const falling = fc
  .array(fc.double({ min: 0, max: 0.01, noNaN: true }), { minLength: 4, maxLength: 4 })
  .map((slopes) => {
    const errors = [3];
    slopes
      .sort((a, b) => b - a)
      .forEach((slope, i) => {
        const step = (SIZES[i + 1] as number) - (SIZES[i] as number);
        errors.push((errors[i] as number) - slope * step);
      });
    return errors;
  });
/** Straight between the sizes. */
function errorWith(errors: readonly number[], k: number): number {
  const at = Math.max(
    1,
    SIZES.findIndex((size) => size >= k),
  );
  if (k > 256) return errors[4] as number;
  const [x0, x1] = [SIZES[at - 1] as number, SIZES[at] as number];
  const [y0, y1] = [errors[at - 1] as number, errors[at] as number];
  return y0 + ((y1 - y0) * (k - x0)) / (x1 - x0);
}

const any = fc.array(fc.double({ min: 0, max: 2, noNaN: true }), { minLength: 5, maxLength: 5 });
const layersOf = (layer: fc.Arbitrary<number[]>) => fc.array(layer, { minLength: 1, maxLength: 6 });
const kvSizes = fc.integer({ min: 9, max: 400 });

describe("fitted budgets", () => {
  it("sum to the size, at least one token above the window and none beyond the prompt", () => {
    fc.assert(
      fc.property(layersOf(any), kvSizes, (left, kvSize) => {
        const fitted = fitBudget(
          { sizes: SIZES, left: left.map((own) => [own, own.toReversed()]) },
          { kvSize, n: N },
        );
        expect(fitted.kvSize).toBe(Math.min(kvSize, N));
        for (const budgets of [fitted.budgets.flat(), fitted.byLayer]) {
          expect(mean(budgets)).toBe(fitted.kvSize);
          expect(Math.min(...budgets)).toBeGreaterThanOrEqual(9);
          expect(Math.max(...budgets)).toBeLessThanOrEqual(N);
        }
      }),
    );
  });

  it("leave the smallest errors of all divisions, where errors fall less and less", () => {
    const two = fc.tuple(falling, falling);
    fc.assert(
      fc.property(two, fc.integer({ min: 10, max: N }), (left, kvSize) => {
        const layers = fitBudget(
          { sizes: SIZES, left: left.map((own) => [own]) },
          { kvSize, n: N },
        );
        const heads = fitBudget({ sizes: SIZES, left: [left] }, { kvSize, n: N });
        const first = Array.from({ length: 2 * kvSize - 17 }, (_, i) => 9 + i);
        const possible = first.filter((tokens) => tokens <= N && 2 * kvSize - tokens <= N);
        const least = possible.map((tokens) => {
          const both = [tokens, 2 * kvSize - tokens].map((k) => k - 8);
          return mean(both.map((k, il) => errorWith(left[il] as number[], k)));
        });
        expect(layers.left.layers).toBeCloseTo(Math.min(...least), 9);
        expect(layers.byLayer).toEqual(layers.budgets.flat());
        expect(heads.left.heads).toBeCloseTo(Math.min(...least), 9);
        expect(heads.left.even).toBeCloseTo(heads.left.layers, 9); // one layer
      }),
    );
  });

  it("go where they take off the most, and evenly where nothing does", () => {
    const fit = (left: number[][], kvSize: number) =>
      fitBudget({ sizes: SIZES, left: left.map((own) => [own]) }, { kvSize, n: N }).byLayer;
    const flat = [1, 1, 1, 1, 1];
    expect(fit([flat, [1, 0.5, 0.4, 0.3, 0.2]], 40)).toEqual([9, 71]);
    expect(fit([flat, flat, flat], 100)).toEqual([100, 100, 100]);
    // A curve that stays high at first and then falls is filled as a straight line would be.
    expect(fit([[1, 1, 1, 0, 0], [1, 0.99, 0.98, 0.9, 0.8]], 40)).toEqual([71, 9]); // prettier-ignore
  });

  it("name the pyramid that leaves the smallest errors", () => {
    const steep = [0.3, 0.2, 0.1, 0.05].map((k) => [1, 1 - k, 1 - 2 * k, 1 - 2.5 * k, 1 - 3 * k]);
    const { beta, left } = fitBudget(
      { sizes: SIZES, left: steep.map((own) => [own]) },
      { kvSize: 40, n: N },
    );
    expect(beta).toBeGreaterThan(1);
    expect(left.pyramid).toBeLessThan(left.even);
  });

  it("refuse a size within the window", () => {
    expect(() => fitBudget({ sizes: SIZES, left: [] }, { kvSize: 8, n: N })).toThrow(/at least 9/);
  });
});
