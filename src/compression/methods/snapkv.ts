import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";
import { pooledAttention } from "../scores/reduce.ts";

/**
 * Keeps what the last prompt tokens attend to, the same number in every layer.
 *
 * Paper: SnapKV: LLM Knows What You are Looking for Before Generation, arXiv 2404.14469.
 * score(j) = pool(Σ_{i in last α} softmax(q_i K^T / √d)_j), reduced over the group's query heads.
 */
export const snapkv: ListedMethod = {
  name: "snapkv",
  summary: "keeps what the last prompt tokens attend to, evenly over the layers",
  standing: "paper",
  paper: "arXiv 2404.14469",
  deviations: [
    "one selection per kv head (the authors repeat kv heads and keep one per query head, at a multiple of the memory)",
  ],
  queryAware: true,
  needs: ["window"],
  score: ({ heads }, o) => heads.map((head) => ({ scores: pooledAttention(head, "window", o) })),
  options: ["kvSize", "preset", "alpha", "window", "pool", "kernel", "gqa", "sinks"],
  budget: uniform,
};
