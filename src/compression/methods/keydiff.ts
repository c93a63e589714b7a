import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { cosinesToMean } from "../scores/vectors.ts";

/**
 * Keeps the tokens whose keys are least like the others.
 *
 * Paper: KeyDiff: Key Similarity-Based KV Cache Eviction, arXiv 2504.15364.
 * score(j) = −cos(k_j, mean of all normalised keys), as in kvpress.
 */
export const keydiff: ListedMethod = {
  name: "keydiff",
  summary: "keeps the tokens whose keys are least like the others",
  standing: "paper",
  paper: "arXiv 2504.15364",
  deviations: [
    "evicts once (the paper: block by block)",
    "sinks and a window may be kept by force",
  ],
  queryAware: false,
  needs: ["keys"],
  score: ({ heads }) =>
    heads.map((head) => ({ scores: cosinesToMean(head.keys(), head.headDim).map((x) => -x) })),
  options: ["kvSize", "window", "sinks"],
  defaults: { window: 0, sinks: 0 },
  budget: uniform,
};
