import type { Compression } from "./resolve.ts";
import { pool } from "./scores/reduce.ts";
import { selectTokens } from "./select.ts";

/** Tokens to keep per layer; everything where the tokens fit into `kvSize`. */
export function layerBudgets(c: Compression, nLayer: number, nTokens: number): number[] {
  const { method, options } = c;
  const keepsAll = method.options.includes("kvSize") && nTokens <= options.kvSize;
  if (keepsAll) return new Array<number>(nLayer).fill(nTokens);
  return method.budget({ nLayer, nTokens, options }).map((b) => Math.min(b, nTokens));
}

/**
 * The tokens that a kv head keeps, as ascending indices into its own tokens: pools the scores, selects.
 *
 * @param scores the head's score per token, or null where none are needed
 */
export function keepTokens(
  { method, options }: Compression,
  scores: Float32Array | null,
  nTokens: number,
  budget: number,
): Int32Array {
  if (scores === null || budget >= nTokens) return selectTokens(nTokens, budget, null, options);
  const end = Math.max(options.sinks, nTokens - options.window);
  const ranked = method.pools
    ? pool(scores, options.sinks, end, options.pool, options.kernel)
    : scores;
  return selectTokens(nTokens, budget, ranked, options);
}
