import { uniform } from "../budgets/uniform.ts";
import type { Method } from "../method.ts";
import { reduceGroup } from "../scores/reduce.ts";

/**
 * Keeps what the model needs to repeat the whole context: the context is replayed after itself, and each token scores
 * by the most attention that it gets from any replayed token.
 *
 * Paper: KVzip: Query-Agnostic KV Cache Compression with Context Reconstruction, arXiv 2505.23416.
 * score(j) = max over replayed tokens and the group's query heads of their attention to j.
 * Deviations: budgets are even over heads (`ada(kvzip)` gives the authors' per-head ones); replayed tokens also see
 * those replayed before them, where the authors replay pieces of 2,000 tokens that do not see each other.
 * Cost: the prompt is read about three times.
 */
export const kvzip: Method = {
  name: "kvzip",
  summary: "keeps what repeating the whole context attends to; reads the prompt again",
  paper: "arXiv 2505.23416",
  queryAware: false,
  needs: ["peaks"],
  probe: "replay",
  score: ({ heads }) =>
    heads.map((head) => ({ scores: reduceGroup(head.attention("peaks"), head.n, "max") })),
  options: ["kvSize", "window", "sinks"],
  defaults: { sinks: 4, window: 8 },
  budget: uniform,
};
