import { count, ofMethod, reranked, type Wrapper } from "../wrapper.ts";

export const local: Wrapper = {
  summary: "the lowest layers keep their newest tokens, the others by score",
  standing: "research",
  argument: "how many layers",
  wrap: ofMethod((method, argument) => {
    const layers = count("local", argument);
    return reranked(method, (rankings, { il }) =>
      il < layers ? rankings.map(() => null) : rankings,
    );
  }),
};
