import { PyramidKVError } from "../errors.ts";
import { ada } from "./budgets/ada.ts";
import { cake } from "./budgets/cake.ts";
import { coverage } from "./budgets/coverage.ts";
import { perLayer } from "./budgets/per-layer.ts";
import { inverted, pyramid } from "./budgets/pyramid.ts";
import { uniform } from "./budgets/uniform.ts";
import type { LayerEvidence } from "./evidence.ts";
import type { Method } from "./method.ts";
import type { Ranking } from "./ranking.ts";
import type { OptionName, ResolvedOptions } from "./options.ts";
import { sampled } from "./sampled.ts";
import { inChunks } from "./scores/chunks.ts";

/** What can be put around a method, `name:argument(method)`: each changes one part of it. */
export interface Wrapper {
  readonly summary: string;
  readonly paper?: string;
  /** Where it differs from its paper, or from the authors' code, a sentence each. */
  readonly deviations?: readonly string[];
  /** What its argument is; absent where it takes none. */
  readonly argument?: string;
  /** Whether it divides the budget in a way of its own, whatever did so before. */
  readonly divides?: boolean;
  /** Whether what was calibrated for the model is left aside. */
  readonly ignoresProfile?: boolean;
  wrap(method: Method, argument?: number): Method;
}

const withOptions = (method: Method, ...names: OptionName[]) => [
  ...new Set([...method.options, ...names]),
];

/** A whole number of at least 1, or `fallback` where none is given. */
function count(what: string, argument: number | undefined, fallback?: number): number {
  const n = argument ?? fallback;
  if (n === undefined || !Number.isInteger(n) || n < 1) {
    const got = n === undefined ? "none was given" : `got ${n}`;
    throw new PyramidKVError("USAGE", `${what} takes a whole number of at least 1, ${got}`);
  }
  return n;
}

type Rerank = (
  rankings: readonly (Ranking | null)[],
  layer: LayerEvidence,
  options: ResolvedOptions,
) => readonly (Ranking | null)[];

const reranked = (method: Method, rerank: Rerank): Method => ({
  ...method,
  score: (layer, options) => rerank(method.score(layer, options), layer, options),
});

/** Every wrapper. Help, docs and the test matrix are made from this table. */
export const WRAPPERS = {
  uniform: {
    summary: "the same budget in every layer",
    divides: true,
    wrap: (method) => ({ ...method, budget: uniform }),
  },
  pyramid: {
    summary: "PyramidKV's budgets for any scores",
    divides: true,
    wrap: (method) => ({
      ...method,
      options: withOptions(method, "beta", "window", "rounding"),
      budget: pyramid,
    }),
  },
  inverted: {
    summary: "the pyramid upside down, as a control",
    divides: true,
    wrap: (method) => ({
      ...method,
      options: withOptions(method, "beta", "window", "rounding"),
      budget: inverted,
    }),
  },
  ada: {
    summary: "a layer's budget divided over its heads by their scores",
    paper: "arXiv 2407.11550",
    deviations: [
      "real-valued budgets are rounded so that a layer's sum is exact (the authors round each)",
      "equal scores at the threshold count for the lower head first (the authors count all of them)",
      "scores are compared as the method gives them (the authors' runner weights a head's by the share that its own best hold, `normalize`)",
    ],
    argument: "share of an even budget that every head keeps (0.2)",
    wrap: ada,
  },
  "per-layer": { summary: "the same budget for all heads of a layer", wrap: perLayer },
  cake: {
    summary: "budgets by how widely each layer's scores are spread",
    paper: "arXiv 2503.12491",
    deviations: [
      "not CAKE as published: the entropy H alone, with τ₁ = 1, without the variance over time V, which differs most between layers",
      "H is of the method's own pooled scores, sinks and window included (the authors: of the window's raw attention, summed over heads)",
      "the authors' eviction score, mean + γ · variance, is not there, and their τ is tuned for each model and size",
    ],
    divides: true,
    wrap: cake,
  },
  coverage: {
    summary: "as many tokens as hold a share of the scores, instead of kvSize",
    argument: "the share (0.95)",
    divides: true,
    wrap: coverage,
  },
  chunk: {
    summary: "keeps whole stretches of text instead of single tokens (ChunkKV)",
    paper: "arXiv 2502.00299",
    deviations: [
      "each kv head has chunks of its own (the authors sum over the heads of a layer, which all keep the same)",
      "the last chunk of a budget is kept in part",
      "layers do not reuse each other's choice",
    ],
    argument: "tokens of a stretch (10)",
    wrap: (method, argument) => {
      const size = count("chunk", argument, 10);
      return reranked(method, (rankings) =>
        rankings.map((r) => r && { ...r, scores: inChunks(r.scores, size) }),
      );
    },
  },
  local: {
    summary: "the lowest layers keep their newest tokens, the others by score",
    argument: "how many layers",
    wrap: (method, argument) => {
      const layers = count("local", argument);
      return reranked(method, (rankings, { il }) =>
        il < layers ? rankings.map(() => null) : rankings,
      );
    },
  },
  online: {
    summary: "budgets from the prompt alone, whatever was calibrated for the model",
    ignoresProfile: true,
    wrap: (method) => method,
  },
  probe: {
    summary: "the prompt is observed by a request for all its facts, which is then forgotten",
    wrap: (method) => ({ ...method, probe: "facts", queryAware: false }),
  },
  carry: {
    summary: "upper layers read only what the last tokens attend to: a faster prompt (FastKV)",
    paper: "arXiv 2502.01068",
    deviations: [
      "the share is 0.3 (the authors' scripts: 0.2), and sinks are carried",
      "scores are pooled after the heads are summed (the authors: before), and the layers above keep what the method's budget says",
    ],
    argument: "share of the tokens that are carried (0.3)",
    wrap: (method, argument) => {
      const carries = argument ?? 0.3;
      if (!(carries > 0 && carries <= 1)) {
        const range = "must be above 0 and at most 1";
        throw new PyramidKVError("USAGE", `the share to carry ${range}, got ${carries}`);
      }
      return { ...method, carries, queryAware: true };
    },
  },
  merge: {
    summary: "mixes the values of evicted tokens into the kept ones with the most similar keys",
    argument: "what an evicted value counts beside a kept one's 1 (0.1)",
    wrap: (method, argument) => {
      const merges = argument ?? 0.1;
      if (!(merges > 0 && merges <= 1)) {
        const range = "must be above 0 and at most 1";
        throw new PyramidKVError("USAGE", `the weight of what is merged ${range}, got ${merges}`);
      }
      return { ...method, merges };
    },
  },
  sampled: {
    summary: "sums the attention of a quarter of the prompt's tokens instead of all",
    wrap: sampled,
  },
  every: {
    summary: "compresses again while decoding, so that the cache keeps its size",
    argument: "tokens between two times",
    wrap: (method, argument) => ({ ...method, every: count("every", argument) }),
  },
  rerotate: {
    summary: "moves kept tokens to positions 0, 1, 2, …, so that the context never fills",
    wrap: (method) => ({ ...method, rerotates: true }),
  },
} as const satisfies Record<string, Wrapper>;

export type WrapperName = keyof typeof WRAPPERS;
