import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { reduceGroup } from "../scores/reduce.ts";

/**
 * Keeps what the model needs to repeat the whole context: the context is replayed after itself, and each token scores
 * by the most attention that it gets from any replayed token.
 *
 * Paper: KVzip: Query-Agnostic KV Cache Compression with Context Reconstruction, arXiv 2505.23416.
 * score(j) = max over replayed tokens and the group's query heads of their attention to j.
 * Cost: the prompt is read about three times.
 */
export const kvzip: ListedMethod = {
  name: "kvzip",
  summary: "keeps what repeating the whole context attends to; reads the prompt again",
  standing: "paper",
  paper: "arXiv 2505.23416",
  deviations: [
    "attention is normalised over the whole prompt and the replay (the authors: over the sinks, the piece's own tokens and its replay), and a token's score is its peak over all pieces (the authors: over its own piece)",
    "pieces of the replay are as long as the engine's chunk, so which tokens are kept depends on the kernels and `chunkTokens` (the authors: 2,000 tokens); each piece follows the same instruction, without the model's chat turn",
    "budgets are even over layers and heads (the authors rank all of them together, which `ada(kvzip)`, within a layer and with a floor, is not)",
    "a window of 8 is kept by force",
  ],
  queryAware: false,
  needs: ["peaks"],
  probe: "replay",
  score: ({ heads }) =>
    heads.map((head) => ({ scores: reduceGroup(head.attention("peaks"), head.n, "max") })),
  options: ["kvSize", "window", "sinks"],
  defaults: { sinks: 4, window: 8 },
  budget: uniform,
};
