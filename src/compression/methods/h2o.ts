import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { reduceGroup } from "../scores/reduce.ts";

/**
 * Keeps the "heavy hitters", the tokens that all prompt tokens together attend to most, and a window.
 *
 * Paper: H2O: Heavy-Hitter Oracle for Efficient Generative Inference, arXiv 2306.14048.
 * score(j) = Σ_i softmax(q_i K^T / √d)_j over all queries i, mean over the group's query heads.
 */
export const h2o: ListedMethod = {
  name: "h2o",
  summary: "keeps what all prompt tokens together attend to most",
  standing: "paper",
  paper: "arXiv 2306.14048",
  deviations: [
    "evicts once after the prompt; `every:1(h2o)` evicts at every step, as the paper does",
    "the window is 32 tokens under every preset (the paper: half of the budget; KVCache-Factory's LongBench runner: 8)",
    "when a later turn is cut, only that turn's queries are summed",
  ],
  queryAware: false,
  needs: ["sums"],
  score: ({ heads }, { gqa }) =>
    heads.map((head) => ({ scores: reduceGroup(head.attention("sums"), head.n, gqa) })),
  options: ["kvSize", "window", "gqa"],
  defaults: { window: 32 },
  budget: uniform,
};
