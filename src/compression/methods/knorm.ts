import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { norms } from "../scores/vectors.ts";

/**
 * Keeps the tokens whose keys are shortest: they tend to be the ones that get attention.
 *
 * Paper: A Simple and Effective L2 Norm-Based Strategy for KV Cache Compression, arXiv 2406.11430.
 * score(j) = −‖k_j‖.
 */
export const knorm: ListedMethod = {
  name: "knorm",
  summary: "keeps the tokens with the shortest keys",
  standing: "paper",
  paper: "arXiv 2406.11430",
  deviations: [
    "sinks and a window may be kept by force (by default none, as in kvpress)",
    "all layers are compressed (the authors leave the lowest two alone)",
  ],
  queryAware: false,
  needs: ["keys"],
  score: ({ heads }) =>
    heads.map((head) => ({ scores: norms(head.keys(), head.headDim).map((x) => -x) })),
  options: ["kvSize", "window", "sinks"],
  defaults: { window: 0, sinks: 0 },
  budget: uniform,
};
