import { BudgetPlan } from "../../compression/budgets/plan.ts";
import type { LayerEvidence } from "../../compression/evidence.ts";
import { keepByHead, type RankedTokens } from "../../compression/keep.ts";
import type { Scorer } from "../../compression/method.ts";
import type { Ranking } from "../../compression/ranking.ts";
import { compact, type KeptTokens } from "../../kvcache/compact.ts";
import type { LayerCache } from "../../kvcache/layer-cache.ts";
import { complement } from "../../kvcache/rows.ts";
import { movedTo, newest, shrink } from "../../kvcache/shrink.ts";
import { lastSharing } from "../../models/layer-shape.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import type { ReadLayer } from "../observe/layer-observer.ts";
import type { Observation } from "../observe/observation.ts";
import { meanRotation } from "../observe/mean-rotation.ts";
import { outputErrors } from "../observe/output-errors.ts";
import { PrefillEvidence } from "../observe/prefill-evidence.ts";
import { plainKeys } from "../observe/rows.ts";
import { neededBy, windowOf, type PrefillTarget, type PromptLengths } from "../observe/target.ts";
import { rankLayer } from "./ranker.ts";

/** Positions to come that queries are expected from. */
const FUTURE = 512;

export interface CompressorJob {
  readonly model: Model;
  readonly targets: readonly PrefillTarget[];
  /** Position of the token after the prompt. */
  readonly nextPosition: number;
  /** Tokens of the prompt, and those that the fullest kv head holds from earlier turns. */
  readonly nPrompt: number;
  readonly past: number;
}

/** The tokens whose keys and values lie in the scratch, and what was observed of them. */
export interface ReadTokens {
  readonly lengths: PromptLengths;
  /** True positions of the prompt's tokens that were read. */
  readonly positions: Int32Array;
  readonly observation: Observation;
}

/** Rankings of the layer at hand: targets that differ in size alone rank alike. */
type KnownRankings = Map<Scorer, Map<string, readonly (Ranking | null)[]>>;

interface TargetState {
  readonly target: PrefillTarget;
  readonly plan: BudgetPlan;
  /** Layers that were cut, and may be cut again when later ones claim their share. */
  readonly layers: RankedTokens[];
}

/** Cuts layer after layer to its budget: evidence, rankings, selection per kv head, and caches of just that size. */
export class Compressor {
  readonly #states: readonly TargetState[];
  /** For each RoPE, the mean rotation of the positions to come. */
  readonly #rotations = new Map<ModelLayer["rope"], Float32Array>();

  constructor(private readonly job: CompressorJob) {
    const { compressible, nHeadKv } = job.model.hp;
    this.#states = job.targets.map((target) => ({
      target,
      plan: new BudgetPlan(target.compression, {
        nLayer: compressible.length,
        nHeadKv,
        nTokens: job.past + job.nPrompt,
      }),
      layers: [],
    }));
  }

  /** The position of the next token of each target. */
  get nextPositions(): number[] {
    return this.#states.map((state) => {
      return rerotates(state.target) ? this.#longest(state) : this.job.nextPosition;
    });
  }

  /** Stages a layer of every target, and cuts earlier layers again where their budgets fell. */
  async compress(layer: ReadLayer, tokens: ReadTokens): Promise<void> {
    const { window } = layer.shape;
    if (window !== undefined) {
      for (const state of this.#states) await this.#keepWindow(state, layer, tokens, window);
      return;
    }
    const evidence = await this.#evidence(layer, tokens);
    const rankings: KnownRankings = new Map();
    for (const state of this.#states) {
      const observed = evidence.observedBy(windowOf(state.target, tokens.lengths));
      await this.#cut(state, layer, tokens, observed, rankings);
    }
  }

  async #evidence(layer: ReadLayer, tokens: ReadTokens): Promise<PrefillEvidence> {
    const { model, targets } = this.job;
    const { observation, lengths } = tokens;
    const { il, scratch } = layer;
    const { samples } = observation;
    const needs = new Set(targets.flatMap(neededBy));
    const heads = () =>
      Array.from({ length: layer.shape.nHeadKv }, (_, h) => ({
        row: scratch.row(h),
        length: scratch.runOf(h).nPast + lengths.prompt,
        positions: this.#positions(il, h, tokens),
      }));
    return new PrefillEvidence({
      il: model.hp.compressible.indexOf(il),
      observation,
      nPrompt: lengths.prompt,
      futureRotation: needs.has("queries") ? await this.#futureRotation(il) : undefined,
      plainKeys: needs.has("plain-keys") ? await plainKeys(model, il, scratch, heads()) : undefined,
      outputErrors: samples && (await outputErrors({ model, samples, layer })),
    });
  }

  async #futureRotation(il: number): Promise<Float32Array> {
    const { model, nextPosition: first } = this.job;
    const { rope } = model.layers[il] as ModelLayer;
    const mean = this.#rotations.get(rope);
    if (mean !== undefined) return mean;
    const rotation = await meanRotation(model, il, { first, n: FUTURE });
    this.#rotations.set(rope, rotation);
    return rotation;
  }

  /** Positions of a kv head's tokens; several targets share a prefill only where none holds any before. */
  #positions(il: number, kvHead: number, { positions }: ReadTokens): Int32Array {
    const past = this.job.targets[0]?.cache.layer(il)?.positions(kvHead) ?? new Int32Array(0);
    return joined(past, positions);
  }

  async #cut(
    state: TargetState,
    layer: ReadLayer,
    tokens: ReadTokens,
    evidence: LayerEvidence,
    known: KnownRankings,
  ): Promise<void> {
    const { target, plan, layers } = state;
    const { method, options } = target.compression;
    const at = evidence.il;
    const lengths = evidence.heads.map(({ n }) => n);
    const ranks = target.cut && !plan.keepsAll(at, evidence.heads);
    const rankings = ranks ? await ranked(target, evidence, known) : evidence.heads.map(() => null);
    const budgets = target.cut ? plan.add(at, { evidence, rankings }) : [];
    const layerBudgets = target.cut ? (budgets[at] as readonly number[]) : lengths;
    const kept = keepByHead({ rankings, lengths }, layerBudgets, options);
    await this.#stage(state, layer, tokens, kept);
    target.received?.adopt(evidence, kept);
    if (method.budget.kind !== "weighed" || !target.cut) return;
    layers[at] = keptOnly(rankings, kept);
    for (let before = 0; before < at; before++) {
      const cut = layers[before] as RankedTokens;
      layers[before] = await this.#cutAgain(target, before, cut, budgets[before] ?? []);
    }
  }

  /** A layer with a sliding window keeps what it shows the next token, and nothing is asked of it. */
  async #keepWindow(
    state: TargetState,
    layer: ReadLayer,
    tokens: ReadTokens,
    window: number,
  ): Promise<void> {
    const { scratch, shape } = layer;
    const kept = Array.from({ length: shape.nHeadKv }, (_, h) => {
      const n = scratch.runOf(h).nPast + tokens.lengths.prompt;
      return newest(n, Math.min(n, window));
    });
    await this.#stage(state, layer, tokens, kept);
  }

  async #stage(
    state: TargetState,
    { il, scratch, shape }: ReadLayer,
    tokens: ReadTokens,
    kept: readonly Int32Array[],
  ): Promise<void> {
    const { model, targets, nPrompt } = this.job;
    const { target } = state;
    const { lengths } = tokens;
    const before = target.cache.layer(il);
    const mergeWeight = shape.window === undefined ? target.compression.recipe.merges : undefined;
    const to = rerotates(target) ? this.#longest(state) - 1 : undefined;
    let isCompressed = before?.padding === "compressed";
    const heads = kept.map((places, h): KeptTokens => {
      const past = before?.positions(h) ?? new Int32Array(0);
      const together = joined(past, tokens.positions);
      const n = past.length + lengths.prompt;
      isCompressed ||= places.length < past.length + nPrompt;
      const positions = places.map((place) => together[place] as number);
      const evicted = mergeWeight === undefined ? undefined : complement(places, n);
      const moved = to === undefined ? { positions } : movedTo(to, positions);
      return { rows: places, evicted, ...moved };
    });
    const cache = await compact(scratch, heads, {
      format: target.cache.format,
      padding: isCompressed ? "compressed" : "full",
      room: target.room,
      mayTakeOver:
        targets.length === 1 && lengths.probe === 0 && lastSharing(model.layers, il) === undefined,
      turn: (g, keys, by) => model.graph.turn(g, il, keys, by),
      mergeWeight,
    });
    target.cache.stage(il, cache);
  }

  async #cutAgain(
    target: PrefillTarget,
    at: number,
    cut: RankedTokens,
    budgets: readonly number[],
  ): Promise<RankedTokens> {
    if (budgets.every((budget, h) => budget >= (cut.lengths[h] ?? 0))) return cut;
    const il = this.job.model.hp.compressible[at] as number;
    const kept = keepByHead(cut, budgets, target.compression.options);
    const staged = target.cache.stagedLayer(il) as LayerCache;
    const { room, compression } = target;
    const options = { room, mergeWeight: compression.recipe.merges };
    target.cache.stage(il, await shrink(staged, kept, options));
    target.received?.pick(at, kept);
    return keptOnly(cut.rankings, kept);
  }

  /** Where tokens move, the most that a layer keeps. */
  #longest({ plan }: TargetState): number {
    const { model, past, nPrompt } = this.job;
    const windows = model.layers.map(({ window = 0 }) => Math.min(window, past + nPrompt));
    return Math.max(plan.longest, ...windows);
  }
}

function joined(a: Int32Array, b: Int32Array): Int32Array {
  const both = new Int32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** The rankings of the tokens kept alone: a later cut chooses among those. */
function keptOnly(
  rankings: readonly (Ranking | null)[],
  kept: readonly Int32Array[],
): RankedTokens {
  const of = (scores: Float32Array, places: Int32Array) =>
    Float32Array.from(places, (i) => scores[i] as number);
  return {
    lengths: kept.map((places) => places.length),
    rankings: rankings.map((ranking, h) => {
      const places = kept[h] as Int32Array;
      if (ranking === null) return null;
      const { scores, second } = ranking;
      if (second === undefined) return { scores: of(scores, places) };
      return {
        scores: of(scores, places),
        second: { scores: of(second.scores, places), share: second.share },
      };
    }),
  };
}

async function ranked(
  { compression }: PrefillTarget,
  evidence: LayerEvidence,
  known: KnownRankings,
): Promise<readonly (Ranking | null)[]> {
  const { method, recipe, options } = compression;
  const byOptions = known.get(method.score) ?? new Map<string, readonly (Ranking | null)[]>();
  const key = JSON.stringify({ ...options, kvSize: 0, probe: recipe.probe });
  const found = byOptions.get(key);
  if (found !== undefined) return found;
  const rankings = await rankLayer(compression, evidence);
  known.set(method.score, byOptions.set(key, rankings));
  return rankings;
}

function rerotates({ cut, compression: { recipe } }: PrefillTarget): boolean {
  return cut && recipe.rerotates === true;
}
