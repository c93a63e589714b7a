import { resolveCompression } from "../compression/resolve.ts";
import { requireInteger } from "../errors.ts";
import { overHeads } from "./means.ts";
import type { Funnel } from "./studies/funnel.ts";

export interface FitOptions {
  /** Tokens kept per layer, averaged, the window included. */
  readonly kvSize: number;
  /** Tokens that every layer keeps by force. Defaults to 8. */
  readonly window?: number;
  /** Tokens of the prompt, which no layer can exceed. */
  readonly n: number;
}

export interface FittedBudget {
  /** Tokens of a layer, averaged: what was asked, or the prompt where it is shorter. */
  readonly kvSize: number;
  /** Tokens of each layer, which sum to nLayer · kvSize: what `budgets` and `--budget-file` take. */
  readonly budgets: readonly number[];
  /** The β whose pyramid comes closest to them, 1 (all layers alike) to 100. */
  readonly beta: number;
  /** Mean share of the attention that the layers' best sets hold: with these budgets, with that pyramid, and evenly. */
  readonly reached: { readonly fitted: number; readonly pyramid: number; readonly even: number };
}

const BETAS = Array.from({ length: 41 }, (_, i) => 100 ** (i / 40));

/**
 * Divides a cache over the layers so that, summed over them, the most attention is reached: the next tokens always go
 * to the layer where they add the most (`reach` is concave but for noise, so that this is the best division).
 *
 * @throws `USAGE` where the window does not fit into the size
 */
export function fitBudget(
  { reachKs, reach }: Pick<Funnel, "reachKs" | "reach">,
  { kvSize, window = 8, n }: FitOptions,
): FittedBudget {
  requireInteger("kvSize", kvSize, window + 1);
  const curves = overHeads(reach).map((shares) => curveOf(reachKs, shares));
  const size = Math.min(kvSize, n);
  const free = (size - window) * curves.length;
  const budgets = divide(curves, free, n - window).map((k) => k + window);
  const pyramidOf = (beta: number) =>
    pyramidBudgets({ kvSize: size, window, beta }, curves.length, n);
  const distance = (other: readonly number[]) =>
    budgets.reduce((sum, b, il) => sum + (b - (other[il] as number)) ** 2, 0);
  const beta = BETAS.reduce((best, b) =>
    distance(pyramidOf(b)) < distance(pyramidOf(best)) ? b : best,
  );
  const reached = (all: readonly number[]) =>
    all.reduce((sum, b, il) => sum + (curves[il] as Curve)(b - window), 0) / all.length;
  return {
    ...{ kvSize: size, budgets },
    beta: Math.round(beta * 10) / 10,
    reached: {
      fitted: reached(budgets),
      pyramid: reached(pyramidOf(beta)),
      even: reached(budgets.map(() => size)),
    },
  };
}

function pyramidBudgets(
  sizes: { readonly kvSize: number; readonly window: number; readonly beta: number },
  nLayer: number,
  nTokens: number,
): number[] {
  const { method, options } = resolveCompression({ method: "pyramidkv", ...sizes });
  if (method.budget.kind !== "layers") throw new Error("the pyramid divides by layers");
  return method.budget.layers({ nLayer, nHeadKv: 1, nTokens, options });
}

/** What k tokens reach, straight between the sizes that are known. */
type Curve = (k: number) => number;

function curveOf(topKs: readonly number[], shares: readonly number[]): Curve {
  const xs = [0, ...topKs];
  const ys = [0, ...shares];
  return (k) => {
    const at = xs.findIndex((x) => x >= k);
    if (at === -1) return ys.at(-1) as number;
    if (at === 0) return 0;
    const [x0, x1] = [xs[at - 1] as number, xs[at] as number];
    const [y0, y1] = [ys[at - 1] as number, ys[at] as number];
    return y0 + ((y1 - y0) * (k - x0)) / (x1 - x0);
  };
}

/** Gives `total` tokens, one by one, where the next adds the most; at most `most` to each, the lower layer first. */
function divide(curves: readonly Curve[], total: number, most: number): number[] {
  const given = curves.map(() => 0);
  const gain = (il: number) => {
    const k = given[il] as number;
    const curve = curves[il] as Curve;
    return k >= most ? -Infinity : curve(k + 1) - curve(k);
  };
  const gains = curves.map((_, il) => gain(il));
  for (let left = total; left > 0; left--) {
    const il = gains.indexOf(Math.max(...gains));
    given[il] = (given[il] as number) + 1;
    gains[il] = gain(il);
  }
  return given;
}
