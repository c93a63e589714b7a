import type { Ranking } from "./ranking.ts";
import { selectTokens, type Forced } from "./select.ts";

/** How the kv heads of a layer rank the tokens that they hold, and how many those are. */
export interface RankedTokens {
  readonly rankings: readonly (Ranking | null)[];
  readonly lengths: readonly number[];
}

/** What each kv head of a layer keeps within its budget. */
export function keepByHead(
  { rankings, lengths }: RankedTokens,
  budgets: readonly number[],
  forced: Forced,
): Int32Array[] {
  return lengths.map((n, h) => keepTokens(rankings[h] ?? null, n, budgets[h] as number, forced));
}

/**
 * The tokens that a kv head keeps, as ascending indices into its own tokens. A smaller budget keeps a part
 * of what a larger one keeps.
 *
 * @param ranking how it ranks its tokens, or null to keep the newest
 */
export function keepTokens(
  ranking: Ranking | null,
  nTokens: number,
  budget: number,
  forced: Forced,
): Int32Array {
  const second = ranking?.second;
  if (ranking === null || second === undefined || budget >= nTokens) {
    return selectTokens(nTokens, budget, ranking?.scores ?? null, forced);
  }
  const rest = Math.max(0, budget - forced.sinks - forced.window);
  const first = budget - Math.round(second.share * rest);
  const scores = second.scores.slice();
  for (const i of selectTokens(nTokens, first, ranking.scores, forced)) scores[i] = Infinity;
  return selectTokens(nTokens, budget, scores, forced);
}
