import { apportion } from "./apportion.ts";
import type { BudgetInput, BudgetPolicy } from "./budget.ts";

/**
 * PyramidKV's budget (arXiv 2406.02069, section 4.2): with S = kvSize − window, the highest layer
 * gets S/β tokens, the lowest 2S − S/β, the others lie on the line between, and each gets the window
 * on top. A lowest layer beyond the prompt is cut to it and the line pivots, so that the sum stays
 * nLayer · kvSize, exactly under `rounding: "exact"`.
 */
export const pyramid: BudgetPolicy = {
  name: "pyramid",
  summary: "more in low layers than in high ones, in a line",
  kind: "layers",
  layers: (input) => ROUNDINGS[input.options.rounding](input),
};

/** The pyramid upside down, as a control: is it the shape that helps, or any shape? */
export const inverted: BudgetPolicy = {
  name: "inverted",
  summary: "more in high layers than in low ones: the pyramid's control",
  kind: "layers",
  layers: (input) => ROUNDINGS[input.options.rounding](input).reverse(),
};

const ROUNDINGS = {
  exact({ nLayer, nTokens, options: { kvSize, window, beta } }: BudgetInput): number[] {
    const mean = kvSize - window;
    const bottom = Math.min(2 * mean - mean / beta, nTokens - window);
    const shares = line(bottom, 2 * mean - bottom, nLayer);
    return apportion(shares, mean * nLayer).map((b) => b + window);
  },

  /** KVCache-Factory c97f9d7, pyramidkv_utils.py: floored ends and step; uniform for short prompts. */
  "kvcache-factory"({ nLayer, nTokens, options: { kvSize, window, beta } }: BudgetInput): number[] {
    const mean = kvSize - window;
    if (nTokens < 2 * mean || nLayer === 1) return new Array<number>(nLayer).fill(kvSize);
    let top = Math.floor(mean / beta);
    let bottom = 2 * mean - top;
    if (bottom >= nTokens - window) {
      bottom = nTokens - window;
      top = 2 * mean - bottom;
    }
    const step = Math.floor((bottom - top) / (nLayer - 1));
    return Array.from({ length: nLayer }, (_, il) => bottom - il * step + window);
  },

  /** kvpress 0.5.4, pyramidkv_press.py: the window counts within the line; uniform where the top is below it. */
  kvpress({ nLayer, nTokens, options: { kvSize, window, beta } }: BudgetInput): number[] {
    let top = kvSize / beta;
    let bottom = 2 * kvSize - top;
    if (bottom >= nTokens - window) {
      bottom = nTokens - window;
      top = 2 * kvSize - bottom;
    }
    if (!(nTokens >= bottom && bottom >= top && top >= window)) {
      return new Array<number>(nLayer).fill(kvSize);
    }
    return line(bottom, top, nLayer).map(Math.round);
  },
};

function line(first: number, last: number, n: number): number[] {
  if (n === 1) return [(first + last) / 2];
  return Array.from({ length: n }, (_, i) => first + ((last - first) * i) / (n - 1));
}
