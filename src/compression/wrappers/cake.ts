import type { RankedLayer } from "../budgets/budget.ts";
import type { Method } from "../method.ts";
import { ofMethod, type Wrapper } from "../wrapper.ts";

export const cake: Wrapper = {
  summary: "budgets by how widely each layer's scores are spread",
  standing: "paper",
  paper: "arXiv 2503.12491",
  deviations: [
    "not CAKE as published: the entropy H alone, with τ₁ = 1, without the variance over time V, which differs most between layers",
    "H is of the method's own pooled scores, sinks and window included (the authors: of the window's raw attention, summed over heads)",
    "the authors' eviction score, mean + γ · variance, is not there, and their τ is tuned for each model and size",
  ],
  divides: true,
  wrap: ofMethod(byEntropy),
};

/**
 * Layers whose attention is spread widely get more, by what is seen of the prompt at hand.
 *
 * Paper: CAKE, arXiv 2503.12491: a layer's preference is H^(1/τ₁) · V^(1/τ₂), H the entropy of attention over tokens, V its
 * variance over time; budgets are shares of one total, and earlier layers are cut again as later ones come.
 */
function byEntropy(method: Method): Method {
  return {
    ...method,
    budget: {
      name: "cake",
      summary: "more in layers whose scores are spread widely, by the prompt at hand",
      kind: "weighed",
      least: ({ sinks, window }) => sinks + window + 1,
      weigh({ rankings, evidence }: RankedLayer) {
        const entropies = rankings.map((r) => (r === null ? 0 : entropy(r.scores)));
        const mean = entropies.reduce((a, b) => a + b, 0) / entropies.length;
        return evidence.heads.map(() => mean);
      },
    },
  };
}

/** The entropy of scores taken as shares of their sum, in nats. */
function entropy(scores: Float32Array): number {
  let sum = 0;
  for (const x of scores) sum += Math.max(0, x);
  let h = 0;
  for (const x of scores) if (x > 0) h -= (x / sum) * Math.log(x / sum);
  return h;
}
