import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { reduceGroup } from "../scores/reduce.ts";

/**
 * Keeps what the very last token attends to, the same tokens in all heads of a layer.
 *
 * Paper: Transformers are Multi-State RNNs, arXiv 2401.06104. score(j) = mean over all query heads of the last query's
 * attention.
 */
export const tova: ListedMethod = {
  name: "tova",
  summary: "keeps what the last token attends to, the same in all heads of a layer",
  standing: "paper",
  paper: "arXiv 2401.06104",
  deviations: [
    "evicts once after the prompt; `every:1(tova)` evicts at every step, as the paper does",
    "the last token is kept by force (kvpress gives it the best score, which is the same)",
  ],
  queryAware: true,
  needs: ["window"],
  score: ({ heads }) => {
    const perHead = heads.map((head) => reduceGroup(head.attention("window"), head.n, "mean"));
    // Heads that hold different tokens have no common ranking.
    if (perHead.some((scores) => scores.length !== perHead[0]?.length)) {
      return perHead.map((scores) => ({ scores }));
    }
    const scores = (perHead[0] as Float32Array).map(
      (_, i) => perHead.reduce((sum, head) => sum + (head[i] as number), 0) / perHead.length,
    );
    return perHead.map(() => ({ scores }));
  },
  options: ["kvSize", "window"],
  defaults: { alpha: 1, window: 1 },
  budget: uniform,
};
