import { keepTokens } from "../../compression/keep.ts";
import { pool, reduceGroup } from "../../compression/scores/reduce.ts";
import { PyramidKVError } from "../../errors.ts";
import type { HyperParameters } from "../../models/hyper-parameters.ts";
import type { Observation } from "../observe/observation.ts";
import { windowOf, type PrefillTarget, type PromptLengths } from "../observe/target.ts";

/** Share of the layers that read all tokens, before the others read the carried ones: FastKV's half. */
const READ_IN_FULL = 0.5;

/** Which tokens a prefill carries through its upper layers. */
export interface Carrying {
  /** The first layer that reads carried tokens alone. */
  readonly from: number;
  /** Share of the tokens that are carried, 0 to 1. */
  readonly share: number;
  /** Whose options choose them. */
  readonly target: PrefillTarget;
}

/** How these targets carry tokens on; undefined where they read all in every layer. */
export function carryingOf(
  targets: readonly PrefillTarget[],
  { nLayer, layers, nEmbdPerLayer = 0 }: HyperParameters,
): Carrying | undefined {
  if (new Set(targets.map(choiceOf)).size > 1) {
    throw new PyramidKVError(
      "USAGE",
      "methods that carry different tokens cannot share a prefill; read the prompt for each of them alone",
    );
  }
  const [target] = targets;
  const share = target?.cut === true ? target.compression.recipe.carries : undefined;
  if (share === undefined || target === undefined) return undefined;
  const others = [
    layers.some(({ window }) => window !== undefined) && "sliding windows",
    layers.some(({ recurrence }) => recurrence !== undefined) && "recurrent layers",
    layers.some(({ sharesKvOf }) => sharesKvOf !== undefined) && "shared keys and values",
    nEmbdPerLayer > 0 && "embeddings for each layer",
  ].filter((kind) => kind !== false);
  if (others.length > 0) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `carry does not work on models with ${others.join(" and ")}; leave it out`,
    );
  }
  const isFirst = targets.every((t) => t.cache.isEmpty);
  const from = Math.max(1, Math.round(nLayer * READ_IN_FULL));
  if (!isFirst || from >= nLayer) return undefined;
  return { from, share, target };
}

/** What decides which tokens a target carries; nothing where it carries all. */
function choiceOf({ cut, compression: { recipe, options } }: PrefillTarget): string {
  if (!cut || recipe.carries === undefined) return "";
  const { alpha, window, sinks, pool: kind, kernel } = options;
  return JSON.stringify([recipe.carries, alpha, window, sinks, kind, kernel]);
}

/**
 * The tokens that the last queries attend to in the layer just read, all its heads together: those alone are carried
 * through the layers above, besides the sinks and the last ones.
 *
 * Paper: FastKV, arXiv 2502.01068 (token-selective propagation). Pooled and chosen as SnapKV does.
 *
 * @returns indices into the tokens that were read, ascending
 */
export function carriedTokens(
  { share, target }: Carrying,
  observation: Observation,
  lengths: PromptLengths,
): Int32Array {
  const window = windowOf(target, lengths);
  const n = lengths.prompt;
  const { pool: kind, kernel, sinks, window: kept } = target.compression.options;
  const scores = new Float32Array(n);
  for (const run of observation.layer.scratch.runs) {
    const runScores = observation.windows.ofRun(window, run) as Float32Array;
    const means = reduceGroup(runScores, n, "mean");
    means.forEach((x, i) => (scores[i] = (scores[i] as number) + x * run.nHeadKv));
  }
  const newest = Math.max(0, Math.min(n - sinks, Math.max(window.alpha, kept)));
  const pooled = pool(scores, sinks, Math.max(sinks, n - newest), kind, kernel);
  const budget = Math.max(Math.ceil(share * n), sinks + newest);
  return keepTokens({ scores: pooled }, n, budget, { sinks, window: newest });
}
