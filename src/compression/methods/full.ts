import type { ListedMethod } from "../method.ts";

/** Keeps every token: what all other methods are measured against. */
export const full: ListedMethod = {
  name: "full",
  summary: "keeps every token (no compression)",
  standing: "recommended",
  queryAware: false,
  needs: [],
  score: ({ heads }) => heads.map(() => null),
  options: [],
  budget: {
    name: "all",
    summary: "everything",
    kind: "layers",
    layers: ({ nLayer, nTokens }) => new Array<number>(nLayer).fill(nTokens),
  },
};
