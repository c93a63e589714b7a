import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { reduceGroup } from "../scores/reduce.ts";

/**
 * H2O's sums, divided by how many queries could see a token: without that, early tokens win for being early.
 *
 * Source: kvpress 0.5.4, observed_attention_press.py. score(j) = Σ_i p_ij / (n − j), mean over the group.
 */
export const observedAttention: ListedMethod = {
  name: "observed-attention",
  summary: "keeps what prompt tokens attend to most, per token that could",
  standing: "paper",
  paper: "kvpress 0.5.4",
  deviations: ["a window of 8 is kept by force (0 gives kvpress's own)"],
  queryAware: false,
  needs: ["sums"],
  score: ({ heads }, { gqa }) =>
    heads.map((head) => {
      const sums = reduceGroup(head.attention("sums"), head.n, gqa);
      const counted = head.counted("sums");
      return { scores: sums.map((sum, j) => sum / Math.max(1, counted[j] as number)) };
    }),
  options: ["kvSize", "window", "gqa"],
  defaults: { window: 8 },
  budget: uniform,
};
