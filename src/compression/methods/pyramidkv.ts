import { pyramid } from "../budgets/pyramid.ts";
import type { ListedMethod } from "../method.ts";
import { snapkv } from "./snapkv.ts";

/**
 * SnapKV's scores with a budget that falls from layer to layer: low layers attend broadly, high ones
 * to a few tokens.
 *
 * Paper: PyramidKV: Dynamic KV Cache Compression based on Pyramidal Information Funneling,
 * arXiv 2406.02069. Budget: see `budgets/pyramid.ts`.
 */
export const pyramidkv: ListedMethod = {
  ...snapkv,
  name: "pyramidkv",
  summary: "keeps what the last prompt tokens attend to, more in low layers than in high ones",
  standing: "paper",
  paper: "arXiv 2406.02069",
  deviations: [
    "the budgets' sum is kept exactly (the authors' floored step keeps more than asked; the preset `kvcache-factory` has it)",
    "one selection per kv head",
  ],
  options: [...snapkv.options, "beta", "rounding"],
  budget: pyramid,
};
