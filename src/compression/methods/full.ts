import type { Method } from "../method.ts";

/** Keeps every token: what all other methods are measured against. */
export const full: Method = {
  name: "full",
  summary: "keeps every token (no compression)",
  needs: "nothing",
  pools: false,
  options: [],
  budget: ({ nLayer, nTokens }) => new Array<number>(nLayer).fill(nTokens),
};
