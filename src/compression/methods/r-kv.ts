import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { pooledAttention } from "../scores/reduce.ts";
import { cosinesToMean, softmax } from "../scores/vectors.ts";

/** Weight of importance against redundancy. */
const LAMBDA = 0.1;

/**
 * Keeps what is both attended to and not said again and again: made for long chains of thought, `every:128(r-kv)`.
 *
 * Paper: R-KV: Redundancy-aware KV Cache Compression for Reasoning Models, arXiv 2505.24133.
 * score(j) = λ I_j − (1 − λ) softmax_j(cos(k_j, mean of the normalised keys)), λ = 0.1, I_j SnapKV's score
 * over its sum.
 */
export const rKv: ListedMethod = {
  name: "r-kv",
  summary: "keeps what is attended to and not redundant, for long outputs",
  standing: "paper",
  paper: "arXiv 2505.24133",
  deviations: [
    "redundancy is the cosine to the mean key, and not the mean cosine to the keys: its softmax is sharper",
    "a token counts as similar to itself, and the newest of a group of similar ones has no privilege (the authors': so that one survives)",
    "importance is a share of the pooled scores' sum, and the group's query heads are averaged (the authors take the largest logit, and do not divide after pooling)",
    "λ is 0.1 (the repository's default: 0.07); 4 sinks are kept",
  ],
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
