import { keepTokens, layerBudgets } from "../compression/keep.ts";
import { reduceGroup } from "../compression/scores/reduce.ts";
import type { Executor } from "../ggml/executor.ts";
import { compact, type KeptTokens } from "../kvcache/compact.ts";
import type { LayerCache } from "../kvcache/layer-cache.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { Model } from "../models/model.ts";
import { queryHeads, type HeadRun } from "./head-runs.ts";
import type { Observation } from "./observation.ts";
import type { PrefillTarget } from "./prefill-target.ts";
import { summedScores, type ScoreInput } from "./scoring.ts";

export interface LayerJob {
  readonly model: Model;
  readonly executor: Executor;
  readonly target: PrefillTarget;
  readonly targets: readonly PrefillTarget[];
  readonly il: number;
  readonly scratch: PrefillScratch;
  readonly runs: readonly HeadRun[];
  readonly observation: Observation;
  readonly firstPosition: number;
  /** Tokens that this prefill added. */
  readonly nNew: number;
}

/** Cuts one layer to its budget: scores, selection per kv head, and a cache of just that size, staged. */
export async function compressLayer(job: LayerJob): Promise<void> {
  const { target, il, executor, scratch, nNew } = job;
  const budget = layerBudget(job);
  const before = target.cache.layers[il];
  const kept: KeptTokens[] = [];
  for (const run of job.runs) {
    const scores = scoreRun(job, run, budget);
    for (let i = 0; i < run.nHeadKv; i++) {
      const nTokens = run.nPast + nNew;
      const own = scores?.(i) ?? null;
      const indices = keepTokens(target.compression, own, nTokens, budget);
      kept.push(keptOf(job, run, run.firstHead + i, indices, before));
    }
  }
  const evicted = kept.some((k) => k.positions.length < job.firstPosition + nNew);
  const padding = evicted ? "compressed" : "full";
  const layer = await compact(executor, scratch, kept, {
    type: target.cache.type,
    padding,
    mayTakeOver: job.targets.length === 1,
  });
  target.cache.stage(il, layer);
}

/** Tokens that each head of this layer may keep; all of them where this prefill does not cut. */
function layerBudget({ target, model, il, nNew }: LayerJob): number {
  if (!target.cut) return Infinity;
  // The lowest layer holds the most of earlier turns; layers already cut hold this turn's result.
  const most = Math.max(0, ...target.pastLengths) + nNew;
  return layerBudgets(target.compression, model.hp.nLayer, most)[il] ?? most;
}

type ScoresOfHead = (headOfRun: number) => Float32Array;

function scoreRun(job: LayerJob, run: HeadRun, budget: number): ScoresOfHead | undefined {
  const { target, observation, model, nNew } = job;
  const { method, options } = target.compression;
  const n = run.nPast + nNew;
  if (method.needs === "nothing" || budget >= n) return undefined;
  const { hp } = model;
  const input: ScoreInput = { ...job, pastRows: job.scratch.rows - nNew, hp };
  const values =
    method.needs === "window-queries"
      ? observation.windowScores.get(run, Math.min(options.alpha, nNew))
      : summedScores(observation, input, run);
  const nHead = queryHeads(run, hp);
  const scores = { values, n, nHead, nHeadKv: run.nHeadKv };
  return (head) => reduceGroup(scores, head, options.gqa);
}

/** Turns a head's own token indices into rows of the scratch and true positions. */
function keptOf(
  { scratch, nNew, firstPosition }: LayerJob,
  run: HeadRun,
  kvHead: number,
  indices: Int32Array,
  before: LayerCache | undefined,
): KeptTokens {
  const firstRow = scratch.rows - nNew - run.nPast;
  const pastPositions = before?.positions(kvHead) ?? new Int32Array(0);
  return {
    rows: indices.map((i) => firstRow + i),
    positions: indices.map((i) =>
      i < run.nPast ? (pastPositions[i] as number) : firstPosition + i - run.nPast,
    ),
  };
}
