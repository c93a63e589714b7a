import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";

/**
 * Keeps the first tokens, which attract attention whatever they say ("sinks"), and the newest ones.
 *
 * Paper: Efficient Streaming Language Models with Attention Sinks, arXiv 2309.17453.
 * kept = [0, sinks) ∪ [n − (kvSize − sinks), n), the same in every layer and head.
 */
export const streamingLlm: ListedMethod = {
  name: "streaming-llm",
  summary: "keeps the first tokens (sinks) and the newest ones",
  standing: "paper",
  paper: "arXiv 2309.17453",
  deviations: [
    "keys stay at their true positions; `rerotate(streaming-llm)` moves them to cache positions, as the authors do",
  ],
  queryAware: false,
  needs: [],
  score: ({ heads }) => heads.map(() => null),
  options: ["kvSize", "sinks"],
  // No window by force: without scores, what the sinks leave goes to the newest tokens.
  defaults: { sinks: 4, window: 0 },
  budget: uniform,
};
