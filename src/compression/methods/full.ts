import type { Method } from "../method.ts";

/** Keeps every token: what all other methods are measured against. */
export const full: Method = {
  name: "full",
  summary: "keeps every token (no compression)",
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
