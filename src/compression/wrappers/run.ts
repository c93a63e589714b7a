import { count, shareOf, type Wrapper } from "../wrapper.ts";

/** Wrappers that change how a method is run, and not what it ranks. */

export const online: Wrapper = {
  summary: "budgets from the prompt alone, whatever was calibrated for the model",
  standing: "recommended",
  ignoresProfile: true,
  wrap: (recipe) => recipe,
};

export const probe: Wrapper = {
  summary: "the prompt is observed by a request for all its facts, which is then forgotten",
  standing: "recommended",
  wrap: (recipe) => ({
    ...recipe,
    method: { ...recipe.method, queryAware: false },
    probe: "facts",
  }),
};

export const carry: Wrapper = {
  summary: "upper layers read only what the last tokens attend to: a faster prompt (FastKV)",
  standing: "paper",
  paper: "arXiv 2502.01068",
  deviations: [
    "the share is 0.3 (the authors' scripts: 0.2), and sinks are carried",
    "scores are pooled after the heads are summed (the authors: before), and the layers above keep what the method's budget says",
  ],
  argument: "share of the tokens that are carried (0.3)",
  wrap: (recipe, argument) => ({
    ...recipe,
    method: { ...recipe.method, queryAware: true },
    carries: shareOf("the share to carry", argument, 0.3),
  }),
};

export const merge: Wrapper = {
  summary: "mixes the values of evicted tokens into the kept ones with the most similar keys",
  standing: "research",
  argument: "what an evicted value counts beside a kept one's 1 (0.1)",
  wrap: (recipe, argument) => ({
    ...recipe,
    merges: shareOf("the weight of what is merged", argument, 0.1),
  }),
};

export const every: Wrapper = {
  summary: "compresses again while decoding, so that the cache keeps its size",
  standing: "recommended",
  argument: "tokens between two times",
  wrap: (recipe, argument) => ({ ...recipe, every: count("every", argument) }),
};

export const rerotate: Wrapper = {
  summary: "moves kept tokens to positions 0, 1, 2, …, so that the context never fills",
  standing: "paper",
  wrap: (recipe) => ({ ...recipe, rerotates: true }),
};
