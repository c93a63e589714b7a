import { PyramidKVError } from "../../errors.ts";
import type { ResolvedOptions } from "../options.ts";
import type { BudgetPolicy } from "./budget.ts";
import { share } from "./share.ts";

/** How much each kv head matters, as somebody measured it. */
export interface HeadScores {
  /** Per [layer][kv head], not negative. */
  readonly scores: readonly (readonly number[])[];
  /** Every head gives 1/β of an even budget to what is divided by the scores. Defaults to 1.2. */
  readonly beta?: number;
}

const DEFAULT_BETA = 1.2;

/**
 * Even budgets of which every head gives a part away, and what they give is divided by scores.
 *
 * Paper: HeadKV, arXiv 2410.19258: budget = b − b/β + score / Σ scores · (all heads' b/β).
 *
 * @throws `USAGE` where the scores are no table of numbers or β is below 1
 */
export function headScored({ scores, beta = DEFAULT_BETA }: HeadScores): BudgetPolicy {
  const isTable =
    Array.isArray(scores) &&
    scores.length > 0 &&
    scores.every((row) => Array.isArray(row) && row.every((x) => Number.isFinite(x) && x >= 0));
  if (!isTable) {
    throw new PyramidKVError(
      "USAGE",
      "head scores must be numbers of at least 0, one list of kv heads a layer",
    );
  }
  if (!(Number.isFinite(beta) && beta >= 1)) {
    throw new PyramidKVError("USAGE", `beta of head scores must be at least 1, got ${beta}`);
  }
  const base = ({ kvSize, sinks, window }: ResolvedOptions) =>
    Math.max(Math.floor(kvSize - kvSize / beta), sinks + window + 1);
  return weighted("head scores", "by how much each head matters, as a file says", scores, base);
}

/** Budgets by fixed weights per [layer][kv head]; every head gets `least`. */
export function weighted(
  name: string,
  summary: string,
  weights: readonly (readonly number[])[],
  least: (options: ResolvedOptions) => number,
): BudgetPolicy {
  return {
    name,
    summary,
    kind: "heads",
    heads: ({ nLayer, nHeadKv, nTokens, options }) => {
      const other = weights.find((row) => row.length !== nHeadKv);
      if (weights.length !== nLayer || other !== undefined) {
        const heads = other?.length ?? nHeadKv;
        throw new PyramidKVError(
          "USAGE",
          `${name}: ${weights.length} layers of ${heads} kv heads, the model has ${nLayer} of ${nHeadKv}`,
        );
      }
      const flat = weights.flat();
      const caps = flat.map(() => nTokens);
      const budgets = share(flat.length * options.kvSize, flat, least(options), caps);
      return weights.map((_, il) => budgets.slice(il * nHeadKv, (il + 1) * nHeadKv));
    },
  };
}
