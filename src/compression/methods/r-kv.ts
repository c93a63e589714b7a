import { uniform } from "../budgets/uniform.ts";
import type { Method } from "../method.ts";
import { pooledAttention } from "../scores/reduce.ts";
import { cosinesToMean, softmax } from "../scores/vectors.ts";

/** Weight of importance against redundancy: the authors' λ. */
const LAMBDA = 0.1;

/**
 * Keeps what is both attended to and not said again and again: made for long chains of thought, `every:128(r-kv)`.
 *
 * Paper: R-KV: Redundancy-aware KV Cache Compression for Reasoning Models, arXiv 2505.24133.
 * score(j) = λ I_j − (1 − λ) softmax_j(mean cosine of k_j and the other keys), λ = 0.1, I_j SnapKV's score over its sum.
 * Deviation: all keys count in the mean (the authors leave the newest of each group of similar keys out, so that one
 * survives): that costs one look at the keys instead of one at all pairs.
 */
export const rKv: Method = {
  name: "r-kv",
  summary: "keeps what is attended to and not redundant, for long outputs",
  paper: "arXiv 2505.24133",
  queryAware: true,
  needs: ["window", "keys"],
  score: ({ heads }, o) =>
    heads.map((head) => {
      const importance = pooledAttention(head, "window", o);
      const sum = importance.reduce((a, b) => a + b, 0);
      const redundancy = softmax(cosinesToMean(head.keys(), head.headDim));
      return {
        scores: importance.map(
          (x, j) => (LAMBDA * x) / sum - (1 - LAMBDA) * (redundancy[j] as number),
        ),
      };
    }),
  options: ["kvSize", "alpha", "window", "pool", "kernel", "gqa", "sinks"],
  defaults: { sinks: 4 },
  budget: uniform,
};
