import { keepTokens } from "../compression/keep.ts";
import { pool, reduceGroup } from "../compression/scores/reduce.ts";
import { PyramidKVError } from "../errors.ts";
import type { HeadRun } from "./head-runs.ts";
import { windowOf } from "./observation.ts";
import type { PrefillTarget } from "./prefill-target.ts";
import type { Reading } from "./reading.ts";

/** Of the layers, the share that read all tokens before the others read the carried ones: FastKV's half. */
const READ_IN_FULL = 0.5;

/** The first layer that reads carried tokens alone. */
export function carryLayer(nLayer: number): number {
  return Math.max(1, Math.round(nLayer * READ_IN_FULL));
}

/** The share of the tokens that these targets carry on; undefined where they carry all. */
export function carriedShare(targets: readonly PrefillTarget[]): number | undefined {
  const isFirst = targets.every((t) => t.cache.layers.length === 0);
  const shares = new Set(targets.map((t) => (t.cut ? t.compression.method.carries : undefined)));
  if (shares.size > 1) {
    throw new PyramidKVError(
      "USAGE",
      "methods that carry different shares of the tokens cannot share a prefill",
    );
  }
  const [share] = shares;
  return isFirst ? share : undefined;
}

/**
 * The tokens that the last queries attend to in the layer just read, all its heads together: those alone are carried
 * through the layers above, besides the sinks and the last ones.
 *
 * Paper: FastKV, arXiv 2502.01068 (token-selective propagation). Pooled and chosen as SnapKV does.
 *
 * @returns indices into the reading's tokens, ascending
 */
export function carriedTokens(
  reading: Reading,
  runs: readonly HeadRun[],
  target: PrefillTarget,
  share: number,
): Int32Array {
  const { of, alpha } = windowOf(target, reading.lengths);
  const n = reading.lengths.prompt;
  const { pool: kind, kernel, sinks, window: kept } = target.compression.options;
  const scores = new Float32Array(n);
  for (const run of runs) {
    const seen = reading.observation.windowScores(of, alpha, run) as Float32Array;
    const own = reduceGroup(seen, n, "mean");
    own.forEach((x, i) => (scores[i] = (scores[i] as number) + x * run.nHeadKv));
  }
  const window = Math.max(0, Math.min(n - sinks, Math.max(alpha, kept)));
  const pooled = pool(scores, sinks, Math.max(sinks, n - window), kind, kernel);
  const budget = Math.max(Math.ceil(share * n), sinks + window);
  return keepTokens({ scores: pooled }, n, budget, { sinks, window });
}
