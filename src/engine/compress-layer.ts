import { checkRankings } from "../compression/check.ts";
import { BudgetPlan } from "../compression/budgets/plan.ts";
import type { LayerEvidence } from "../compression/evidence.ts";
import { keepByHead, type RankedTokens } from "../compression/keep.ts";
import type { Scorer } from "../compression/method.ts";
import type { Ranking } from "../compression/ranking.ts";
import type { Executor } from "../ggml/executor.ts";
import { compact, type KeptTokens } from "../kvcache/compact.ts";
import type { LayerCache } from "../kvcache/layer-cache.ts";
import { complement } from "../kvcache/rows.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import { movedTo, shrink } from "../kvcache/shrink.ts";
import type { Model } from "../models/model.ts";
import type { HeadRun } from "./head-runs.ts";
import { windowOf } from "./observation.ts";
import { outputErrors } from "./output-errors.ts";
import { plainKeys } from "./plain-keys.ts";
import { PrefillEvidence } from "./prefill-evidence.ts";
import { neededBy, type PrefillTarget } from "./prefill-target.ts";
import type { Reading } from "./reading.ts";
import { meanRotation } from "./rotation.ts";

export interface CompressorJob {
  readonly model: Model;
  readonly executor: Executor;
  readonly targets: readonly PrefillTarget[];
  readonly scratch: PrefillScratch;
  readonly firstPosition: number;
  /** Rows of the scratch before the new tokens. */
  readonly pastRows: number;
  /** Tokens of the prompt. */
  readonly nPrompt: number;
}

/** Positions to come that queries are expected from. */
const FUTURE = 512;

/** Rankings of the layer at hand: targets that differ in size alone rank alike. */
type KnownRankings = Map<Scorer, Map<string, readonly (Ranking | null)[]>>;

/** A layer that was read, for all targets alike. */
interface ReadLayer {
  readonly seen: PrefillEvidence;
  readonly runs: readonly HeadRun[];
  readonly reading: Reading;
}

interface TargetState {
  readonly target: PrefillTarget;
  readonly plan: BudgetPlan;
  /** Layers that were cut, and may be cut again when later ones claim their share. */
  readonly layers: RankedTokens[];
}

/** Cuts layer after layer to its budget: evidence, rankings, selection per kv head, and caches of just that size. */
export class Compressor {
  readonly #states: TargetState[];

  private constructor(
    private readonly job: CompressorJob,
    private readonly futureRotation: Float32Array | undefined,
  ) {
    const { nLayer, nHeadKv } = job.model.hp;
    // The fullest head before: layers already cut hold this turn's result.
    const nTokens = job.pastRows + job.nPrompt;
    this.#states = job.targets.map((target) => ({
      target,
      plan: new BudgetPlan(target.compression, { nLayer, nHeadKv, nTokens }),
      layers: [],
    }));
  }

  static async create(job: CompressorJob): Promise<Compressor> {
    const needsFuture = job.targets.some((t) => neededBy(t).includes("queries"));
    const next = job.firstPosition + job.nPrompt;
    const future = needsFuture
      ? await meanRotation(job.executor, job.model, next, FUTURE)
      : undefined;
    return new Compressor(job, future);
  }

  /** The position of the next token of each target. */
  get nextPositions(): number[] {
    const next = this.job.firstPosition + this.job.nPrompt;
    return this.#states.map(({ target, plan }) => (rerotates(target) ? plan.longest : next));
  }

  /** Stages layer `il` of every target, and cuts earlier layers again where their budgets fell. */
  async compress(il: number, runs: readonly HeadRun[], reading: Reading): Promise<void> {
    const { model, pastRows } = this.job;
    const { observation, lengths } = reading;
    const { samples } = observation;
    const headsOf = (run: HeadRun) =>
      Array.from({ length: run.nHeadKv }, () => ({
        firstRow: pastRows - run.nPast,
        nPast: run.nPast,
      }));
    const heads = runs.flatMap(headsOf);
    const errors = samples && (await outputErrors({ ...this.job, samples, il, heads }));
    const turnsBack = this.job.targets.some((t) => neededBy(t).includes("plain-keys"));
    const positions = (h: number) => this.#positions(il, h, reading);
    const keys = turnsBack ? await plainKeys({ ...this.job, heads, positions }) : undefined;
    const evidence = new PrefillEvidence({
      ...{ ...this.job, il, runs, observation, hp: model.hp, nPrompt: lengths.prompt },
      ...{ futureRotation: this.futureRotation, outputErrors: errors, plainKeys: keys },
    });
    const known: KnownRankings = new Map();
    for (const state of this.#states) {
      await this.#cut(state, il, { seen: evidence, runs, reading }, known);
    }
  }

  /** Positions of a kv head's tokens; several targets share a prefill only where none holds any before. */
  #positions(il: number, kvHead: number, { positions }: Reading): Int32Array {
    const past = this.job.targets[0]?.cache.layers[il]?.positions(kvHead) ?? new Int32Array(0);
    const all = new Int32Array(past.length + positions.length);
    all.set(past);
    all.set(positions, past.length);
    return all;
  }

  async #cut(
    { target, plan, layers }: TargetState,
    il: number,
    { seen, runs, reading }: ReadLayer,
    known: KnownRankings,
  ): Promise<void> {
    const { method } = target.compression;
    const evidence = seen.observedBy(windowOf(target, reading.lengths));
    const lengths = evidence.heads.map(({ n }) => n);
    const ranks = target.cut && !plan.keepsAll(il, evidence.heads);
    const rankings = ranks ? ranked(target, evidence, known) : evidence.heads.map(() => null);
    const budgets = target.cut ? plan.add(il, { evidence, rankings }) : [];
    const own = target.cut ? (budgets[il] as readonly number[]) : lengths;
    const kept = keepByHead({ rankings, lengths }, own, target.compression.options);
    const newest = rerotates(target) ? plan.longest - 1 : undefined;
    await this.#stage(target, il, kept, { seen, runs, reading }, newest);
    target.received?.adopt(evidence, kept);
    if (method.budget.kind !== "weighed" || !target.cut) return;
    layers[il] = keptOnly(rankings, kept);
    for (let before = 0; before < il; before++) {
      const cut = layers[before] as RankedTokens;
      layers[before] = await this.#cutAgain(target, before, cut, budgets[before] ?? []);
    }
  }

  async #stage(
    target: PrefillTarget,
    il: number,
    kept: readonly Int32Array[],
    { runs, reading }: ReadLayer,
    newest: number | undefined,
  ): Promise<void> {
    const { model, executor, scratch, targets, pastRows, nPrompt } = this.job;
    const { positions, lengths } = reading;
    const before = target.cache.layers[il];
    const merges = target.compression.method.merges !== undefined;
    const tokens = runs.flatMap((run) =>
      Array.from({ length: run.nHeadKv }, (_, i): KeptTokens => {
        const kvHead = run.firstHead + i;
        const past = before?.positions(kvHead) ?? new Int32Array(0);
        const indices = kept[kvHead] as Int32Array;
        const row = (at: number) => pastRows - run.nPast + at;
        return {
          rows: indices.map(row),
          evicted: merges ? complement(indices, run.nPast + lengths.prompt).map(row) : undefined,
          positions: indices.map(
            (at) => (at < run.nPast ? past[at] : positions[at - run.nPast]) as number,
          ),
        };
      }),
    );
    const all = runs.flatMap((run) => new Array<number>(run.nHeadKv).fill(run.nPast + nPrompt));
    const evicted = kept.some((k, h) => k.length < (all[h] as number));
    const moved =
      newest === undefined
        ? tokens
        : tokens.map((head) => ({ ...head, ...movedTo(newest, head.positions) }));
    const layer = await compact(executor, scratch, moved, {
      format: target.cache.format,
      padding: evicted || before?.padding === "compressed" ? "compressed" : "full",
      room: target.room,
      mayTakeOver: targets.length === 1 && lengths.probe === 0,
      turn: (g, keys, by) => model.graph.turn(g, keys, by),
      mergeWeight: target.compression.method.merges,
    });
    target.cache.stage(il, layer);
  }

  async #cutAgain(
    target: PrefillTarget,
    il: number,
    cut: RankedTokens,
    budgets: readonly number[],
  ): Promise<RankedTokens> {
    if (budgets.every((budget, h) => budget >= (cut.lengths[h] ?? 0))) return cut;
    const kept = keepByHead(cut, budgets, target.compression.options);
    const staged = target.cache.stagedLayer(il) as LayerCache;
    const { room, compression } = target;
    const options = { room, mergeWeight: compression.method.merges };
    target.cache.stage(il, await shrink(this.job.executor, staged, kept, options));
    target.received?.pick(il, kept);
    return keptOnly(cut.rankings, kept);
  }
}

/** The rankings of the tokens kept alone: a later cut chooses among those. */
function keptOnly(
  rankings: readonly (Ranking | null)[],
  kept: readonly Int32Array[],
): RankedTokens {
  const of = (scores: Float32Array, own: Int32Array) =>
    Float32Array.from(own, (i) => scores[i] as number);
  return {
    lengths: kept.map((own) => own.length),
    rankings: rankings.map((ranking, h) => {
      const own = kept[h] as Int32Array;
      if (ranking === null) return null;
      const { scores, second } = ranking;
      if (second === undefined) return { scores: of(scores, own) };
      return {
        scores: of(scores, own),
        second: { scores: of(second.scores, own), share: second.share },
      };
    }),
  };
}

function ranked(
  { compression: { method, options } }: PrefillTarget,
  evidence: LayerEvidence,
  known: KnownRankings,
): readonly (Ranking | null)[] {
  const own = known.get(method.score) ?? new Map<string, readonly (Ranking | null)[]>();
  const key = JSON.stringify({ ...options, kvSize: 0, probe: method.probe });
  const found = own.get(key);
  if (found !== undefined) return found;
  const rankings: unknown = method.score(evidence, options);
  checkRankings(method.name, evidence, rankings, true);
  known.set(method.score, own.set(key, rankings));
  return rankings;
}

function rerotates({ cut, compression: { method } }: PrefillTarget): boolean {
  return cut && method.rerotates === true;
}
