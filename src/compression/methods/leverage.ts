import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { leverage as leverageOf } from "../scores/leverage.ts";

/**
 * Keeps the tokens whose keys stand out: those that the others' keys cannot be put together from.
 *
 * Paper: Compactor, arXiv 2507.08143, of whose score this is the part that needs no attention.
 * score(j) = k_jᵀ (KᵀK)⁻¹ k_j of keys before rotation, less their mean.
 */
export const leverage: ListedMethod = {
  name: "leverage",
  summary: "keeps the tokens whose keys, before rotation, are in directions of their own",
  standing: "research",
  paper: "arXiv 2507.08143",
  deviations: [
    "exact, where the authors sketch the keys to 48 dimensions",
    "the authors' chunked non-causal attention is not added, so this is a part of Compactor",
  ],
  queryAware: false,
  needs: ["plain-keys"],
  score: ({ heads }) =>
    heads.map((head) => ({ scores: leverageOf(head.plainKeys(), head.headDim) })),
  options: ["kvSize", "window", "sinks"],
  defaults: { sinks: 8, window: 4 },
  budget: uniform,
};
