import { weighted } from "../budgets/head-scores.ts";
import type { HeadEvidence, LayerEvidence } from "../evidence.ts";
import type { ListedMethod } from "../method.ts";
import type { Ranking } from "../ranking.ts";
import type { ResolvedOptions } from "../options.ts";
import { inChunks } from "../scores/chunks.ts";
import { pooledAttention, reduceGroup } from "../scores/reduce.ts";

/** Tokens that every kv head keeps at least. */
const LEAST = 16;
const UNCALIBRATED_SHARE = 0.3;
/** Tokens of a stretch that the last queries choose together. */
const STRETCH = 8;
const ERROR_EXPONENT = 1.5;
/** The worst error counts among the newest queries, the mean square among all sampled ones. */
const NEWEST = 8;

/**
 * Our own method: most of the budget goes to the few kv heads that suffer without it, and each keeps what is
 * attended to from far away, per token that could, and a share of what the last queries attend to.
 *
 * Ranking: far(j) = mean over the group of Σ_{i−j ≥ 64} p_ij, over how many queries are that far, n − j − 64 of a
 * prompt; question = SnapKV's score, in stretches of 8.
 * Budget without a profile: with e the error of the layer's result when the head sees 4 sinks and its 20 newest keys
 * alone, E = max(max of the last 8 queries' e, rms of all sampled e), weight (E / √median residual)^1.5, at least 16
 * tokens a head. With a profile (`pyramidkv calibrate`): its weights and shares. docs/funnel.md has the study.
 */
export const funnel: ListedMethod = {
  name: "funnel",
  summary: "gives most to the heads that suffer without, keeps what far and last tokens attend to",
  standing: "recommended",
  queryAware: true,
  needs: ["far-sums", "window"],
  options: ["kvSize", "alpha", "window", "pool", "kernel", "sinks", "profile"],
  defaults: { sinks: 4, window: 8 },
  score: (layer, o) => rank(layer, o, () => UNCALIBRATED_SHARE),
  budget: {
    name: "output error",
    summary: "by what a layer's result loses where a head sees few keys",
    kind: "weighed",
    needs: ["outputs"],
    least,
    weigh: ({ evidence }) => evidence.heads.map(errorWeight),
  },
  calibrated: (profile) => ({
    ...funnel,
    profile: profile.model,
    score: (layer, o) => rank(layer, o, (h) => profile.shares[layer.il]?.[h] ?? UNCALIBRATED_SHARE),
    budget: weighted(
      "profile",
      "by what a model's profile says each kv head is worth",
      profile.weights,
      least,
    ),
  }),
};

/** What every kv head gets: enough for what is kept by force. */
function least({ sinks, window }: ResolvedOptions): number {
  return Math.max(LEAST, sinks + window + 1);
}

function rank(
  { heads }: LayerEvidence,
  o: ResolvedOptions,
  shareOf: (kvHead: number) => number,
): Ranking[] {
  return heads.map((head, h) => {
    const questionScores = pooledAttention(head, "window", { ...o, gqa: "mean" });
    // Whole stretches: what answers a question is seldom a single token.
    const second = { scores: inChunks(questionScores, STRETCH), share: shareOf(h) };
    return { scores: farMass(head), second };
  });
}

/** What a token receives from far away, over how many queries are that far. */
function farMass(head: HeadEvidence): Float32Array {
  const sums = reduceGroup(head.attention("far-sums"), head.n, "mean");
  const counted = head.counted("far-sums");
  return sums.map((sum, j) => sum / Math.max(1, counted[j] as number));
}

function errorWeight(head: HeadEvidence): number {
  const { errors, residual } = head.outputErrors();
  const worst = Math.max(0, ...errors.slice(-NEWEST));
  const meanSquare = errors.reduce((sum, e) => sum + e * e, 0) / Math.max(1, errors.length);
  const error = Math.max(worst, Math.sqrt(meanSquare));
  return (error / Math.sqrt(Math.max(residual, 1e-9))) ** ERROR_EXPONENT;
}
