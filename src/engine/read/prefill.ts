import { throwIfAborted } from "../../errors.ts";
import type { Device } from "../../ggml/device.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import { readTensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { LayerScratch } from "../../kvcache/layer-scratch.ts";
import { LayerState } from "../../kvcache/layer-state.ts";
import { lastOwning, lastSharing } from "../../models/layer-shape.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import { Compressor } from "../cut/compressor.ts";
import type { AttentionObserver } from "../observe/attention-observer.ts";
import type { Chunk, LayerObserver, ReadLayer } from "../observe/layer-observer.ts";
import type { PrefillTarget } from "../observe/target.ts";
import { mixChunk } from "./mix-chunk.ts";
import { readChunk } from "./read-chunk.ts";
import { Reading } from "./reading.ts";
import { StageMemory } from "./stage-memory.ts";

export interface PrefillJob {
  readonly model: Model;
  readonly tokens: Int32Array;
  /** Read after the tokens and forgotten, piece by piece: its queries observe them. All targets that have a probe have this one. */
  readonly probe: readonly Int32Array[];
  /** True position of the first token. */
  readonly firstPosition: number;
  /** The caches to fill. Several may share one prefill if all of them are empty. */
  readonly targets: readonly PrefillTarget[];
  /** Is shown every layer that methods act on, where no tokens come before these. */
  readonly watch?: AttentionObserver | undefined;
  readonly chunkTokens: number;
}

export interface PrefillResult {
  /** f32 [nVocab], of the last token. */
  readonly logits: Float32Array;
  /** Milliseconds spent on selecting and compacting, all targets together; scores come with the prompt's graphs. */
  readonly compressMs: number;
  /** For each target, the position of its next token. */
  readonly nextPositions: readonly number[];
}

/** Runs a prefill to its end; stopped half-way, every cache is as it was before. */
export async function prefill(
  job: PrefillJob & {
    readonly signal?: AbortSignal | undefined;
    /** Called after each layer and chunk with the share of work done, 0 to 1. */
    readonly onProgress?: ((share: number) => void) | undefined;
  },
): Promise<PrefillResult> {
  using run = await PrefillRun.create(job);
  do {
    throwIfAborted(job.signal);
    await run.advance();
    job.onProgress?.(run.progress);
  } while (run.result === undefined);
  return run.result;
}

/**
 * A prefill that goes on a step at a time, layer by layer: all chunks of the prompt pass a layer, then its keys and
 * values are cut to their budget and the scratch serves the next layer. So one layer at full length is the most there
 * ever is, besides those that later layers share. Disposed before its end, it leaves every cache as it was.
 */
export class PrefillRun extends NativeOwner {
  readonly #compressor: Compressor;
  #reading: Reading;
  /** Memory of the device that reads now. */
  #memory: StageMemory;
  #observers: readonly LayerObserver[] = [];
  #layer: ReadLayer | undefined;
  /** Keys and values of layers that later ones attend to as well, by the layers' numbers. */
  readonly #shared = new Map<number, LayerScratch>();
  /** Of the layer at hand, where it is recurrent: what it remembers of the chunks read. */
  #state: LayerState | undefined;
  #il = 0;
  /** The chunk of the layer at hand that comes next. */
  #next = 0;
  #compressMs = 0;
  #result: PrefillResult | undefined;

  private constructor(
    private readonly job: PrefillJob,
    /** Tokens that the fullest kv head holds from earlier turns. */
    private readonly past: number,
    reading: Reading,
  ) {
    super();
    const { model, targets, firstPosition, tokens } = job;
    this.#reading = reading;
    this.#compressor = new Compressor({
      model,
      targets,
      past,
      nPrompt: tokens.length,
      nextPosition: firstPosition + tokens.length,
    });
    this.#memory = this.#memoryOn(model.placement.embedding);
  }

  static async create(job: PrefillJob): Promise<PrefillRun> {
    const { model, targets, chunkTokens, probe, firstPosition, tokens } = job;
    const layers = targets[0]?.cache.layers ?? [];
    const past = Math.max(0, ...layers.flatMap((l) => l.heads.map((h) => h.length)));
    const reading = await Reading.create({
      model,
      device: model.placement.embedding,
      targets,
      chunkTokens,
      probe,
      past,
      positions: tokens.map((_, i) => firstPosition + i),
      nextPosition: firstPosition + tokens.length,
    });
    let run: PrefillRun;
    try {
      run = new PrefillRun(job, past, reading);
    } catch (error) {
      reading[Symbol.dispose]();
      throw error;
    }
    try {
      for (const chunk of reading.chunks) await run.#embed(chunk);
      return run;
    } catch (error) {
      run[Symbol.dispose]();
      throw error;
    }
  }

  /** The share of work done, 0 to 1. */
  get progress(): number {
    const { nLayer } = this.job.model.hp;
    const chunks = this.#reading.chunks.slice(0, this.#next);
    const read = chunks.reduce((sum, { n }) => sum + n, 0);
    return (this.#il + read / this.#reading.n) / nLayer;
  }

  /** What came of it, once all layers were read. */
  get result(): PrefillResult | undefined {
    return this.#result;
  }

  /**
   * Reads a chunk through a layer, and cuts the layer after its last chunk. The caches are filled with the last step,
   * which gives the result.
   */
  async advance(): Promise<void> {
    this.assertAlive();
    if (this.#result !== undefined) return;
    const layer = this.#next === 0 ? await this.#beginLayer() : (this.#layer as ReadLayer);
    const { model } = this.job;
    const { chunks, rotation } = this.#reading;
    const reader = {
      model,
      x: this.#memory.x,
      masks: this.#memory.masks,
      rotation,
      observers: this.#observers,
      tokensOf: (of: Chunk) => this.#tokensOf(of),
    };
    const chunk = chunks[this.#next] as Chunk;
    if (this.#state === undefined) await readChunk(reader, layer, chunk);
    else await mixChunk(reader, layer, chunk, this.#state);
    if (++this.#next < chunks.length) return;
    await this.#endLayer(layer);
    this.#next = 0;
    if (++this.#il === model.hp.nLayer) await this.#end();
  }

  async #beginLayer(): Promise<ReadLayer> {
    const { model, targets, watch } = this.job;
    const il = this.#il;
    const shape = model.layers[il] as ModelLayer;
    await this.#moveTo(shape.device);
    const { recurrence, sharesKvOf = il } = shape;
    const scratch = this.#shared.get(sharesKvOf) ?? this.#memory.scratch;
    const cache = targets[0]?.cache;
    if (recurrence === undefined && sharesKvOf === il) await scratch.begin(shape, cache?.layer(il));
    if (recurrence !== undefined)
      this.#state = cache?.state(il)?.copy() ?? new LayerState(shape.device, recurrence.states);
    const watching: LayerObserver[] = watch === undefined ? [] : [watch];
    const layer = { il, shape, scratch, attendsWhole: il < lastOwning(model.layers) };
    // Layers with a sliding window keep their newest tokens, recurrent ones keep none: there is nothing to observe.
    const isObserved = model.hp.compressible.includes(il);
    this.#observers = isObserved ? [this.#reading.observation, ...watching] : [];
    for (const observer of this.#observers) observer.begin(layer);
    this.#layer = layer;
    return layer;
  }

  async #endLayer(layer: ReadLayer): Promise<void> {
    for (const observer of this.#observers) await observer.afterLayer?.(layer);
    const before = performance.now();
    if (this.#state !== undefined) this.#stageState(layer.il, this.#state);
    else if (layer.shape.sharesKvOf === undefined) {
      await this.#compressor.compress(layer, this.#reading);
    }
    this.#keepShared(layer);
    this.#reading = await this.#reading.after(layer.il, this.#memory.x);
    this.#compressMs += performance.now() - before;
  }

  /** Keeps what later layers attend to, until the last of them was read. */
  #keepShared({ il, shape: { sharesKvOf } }: ReadLayer): void {
    const { layers } = this.job.model;
    if (lastSharing(layers, il) !== undefined) this.#shared.set(il, this.#memory.takeScratch());
    if (sharesKvOf === undefined || lastSharing(layers, sharesKvOf) !== il) return;
    this.#shared.get(sharesKvOf)?.[Symbol.dispose]();
    this.#shared.delete(sharesKvOf);
  }

  /** Each target has a state of its own. */
  #stageState(il: number, state: LayerState): void {
    const [first, ...others] = this.job.targets;
    for (const { cache } of others) cache.stage(il, state.copy());
    this.#state = undefined;
    if (first === undefined) state[Symbol.dispose]();
    else first.cache.stage(il, state);
  }

  async #end(): Promise<void> {
    const { targets } = this.job;
    const logits = await this.#lastLogits();
    for (const { cache } of targets) cache.commit();
    const { nextPositions } = this.#compressor;
    this.#result = { logits, compressMs: this.#compressMs, nextPositions };
  }

  /** Goes on on another device, with what the layers before gave. */
  async #moveTo(device: Device): Promise<void> {
    if (device === this.#memory.device) return;
    this.#reading = await this.#reading.on(device);
    const memory = this.#memoryOn(device);
    memory.takeOver(this.#memory);
    this.#memory[Symbol.dispose]();
    this.#memory = memory;
  }

  #memoryOn(device: Device): StageMemory {
    const { n, rows } = this.#reading;
    const size = { nEmbd: this.job.model.hp.nEmbd, n, past: this.past, rows };
    const ledgers = this.job.targets.map((t) => t.cache.ledger);
    return new StageMemory(device, size, ledgers);
  }

  async #embed(chunk: Chunk): Promise<void> {
    const { model } = this.job;
    const { first, n } = chunk;
    await model.placement.embedding.run((g) => {
      const ids = g.constant(TYPES.i32, [n], this.#tokensOf(chunk));
      const into = g.rows(this.#memory.x, TYPES.f32, model.hp.nEmbd, first, n);
      g.expand(g.copy(model.graph.embed(g, ids), into));
      return () => undefined;
    });
  }

  #tokensOf(chunk: Chunk): Int32Array {
    const { tokens, probe } = this.job;
    if (chunk.of === "prompt") return tokens.slice(chunk.first, chunk.first + chunk.n);
    let first = tokens.length;
    return probe.find((piece) => (first += piece.length) > chunk.first) as Int32Array;
  }

  async #lastLogits(): Promise<Float32Array> {
    const { model } = this.job;
    await this.#moveTo(model.placement.output);
    const { nEmbd, nVocab } = model.hp;
    const row = this.#reading.lengths.prompt - 1;
    return this.#memory.device.run((g) => {
      const last = g.rows(this.#memory.x, TYPES.f32, nEmbd, row, 1);
      const logits = g.output(model.graph.logits(g, last));
      return () => readTensor(logits, new Float32Array(nVocab));
    });
  }

  protected release(): void {
    if (this.#result === undefined) {
      for (const { cache } of this.job.targets) if (!cache.disposed) cache.rollBack();
    }
    this.#state?.[Symbol.dispose]();
    for (const scratch of this.#shared.values()) scratch[Symbol.dispose]();
    this.#reading[Symbol.dispose]();
    this.#memory[Symbol.dispose]();
  }
}
