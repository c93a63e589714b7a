import { inChunks } from "../scores/chunks.ts";
import { count, ofMethod, reranked, type Wrapper } from "../wrapper.ts";

export const chunk: Wrapper = {
  summary: "keeps whole stretches of text instead of single tokens (ChunkKV)",
  standing: "paper",
  paper: "arXiv 2502.00299",
  deviations: [
    "each kv head has chunks of its own (the authors sum over the heads of a layer, which all keep the same)",
    "the last chunk of a budget is kept in part",
    "layers do not reuse each other's choice",
  ],
  argument: "tokens of a stretch (10)",
  wrap: ofMethod((method, argument) => {
    const size = count("chunk", argument, 10);
    return reranked(method, (rankings) =>
      rankings.map((r) => r && { ...r, scores: inChunks(r.scores, size) }),
    );
  }),
};
