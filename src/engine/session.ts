import pLimit from "p-limit";
import { isEndless } from "../compression/budgets/expected.ts";
import type { Compression } from "../compression/resolve.ts";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import { canGrow, grow } from "../kvcache/grow.ts";
import { ROOM_AT_START } from "../kvcache/padding.ts";
import { slide } from "../kvcache/shrink.ts";
import { KvCache } from "../kvcache/kv-cache.ts";
import type { KvFormat } from "../kvcache/kv-format.ts";
import type { LayerCache } from "../kvcache/layer-cache.ts";
import type { Model } from "../models/model.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { readOptions, requireList, type Named } from "../options.ts";
import { Answer, type FinishReason, type GenerateOptions, type Piece } from "./answer.ts";
import { Recompression } from "./cut/recompression.ts";
import { answersOf } from "./answers.ts";
import { checkTokens, contextFull, stopsOf } from "./checks.ts";
import type { Decoder } from "./decode/decoder.ts";
import type { DecodeStep, Sequence } from "./decode/sequence.ts";
import type { PrefillTarget } from "./observe/target.ts";
import { GENERATE_OPTIONS, PREFILL_OPTIONS } from "./option-tables.ts";
import { defaultChunkTokens, largestChunkTokens } from "./read/chunks.ts";
import { prefill } from "./read/prefill.ts";
import { probePieces } from "./read/probe.ts";
import { createSampler } from "./sampler.ts";
import { SessionMemory } from "./session-memory.ts";
import { SessionTimings } from "./timings.ts";

/** Tokens of an answer where nobody says how many. */
export const DEFAULT_MAX_TOKENS = 256;
/** Caches of no more than this move together when they grow. */
export const MOVED_TOGETHER_BYTES = 32 * 1024 * 1024;

export interface PrefillOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the share of work done, 0 to 1. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/** What a session needs of its engine. */
export interface SessionParts {
  readonly model: Model;
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer | undefined;
  /** Tokens of a prefill's chunks, where the user chose. */
  readonly chunkTokens: number | undefined;
  readonly compression: Compression;
  readonly kvFormat: KvFormat;
  /** Tokens per layer, averaged, beyond which a later turn is compressed again. */
  readonly kvLimit: number;
  /** Called once the session's memory is free. */
  readonly onFree: (memory: SessionMemory) => void;
}

/**
 * One timeline of tokens: its compressed cache and the logits after its newest token. Calls on a
 * session run one after the other; several sessions share their engine graph by graph.
 */
export class Session implements Disposable {
  /** @internal */
  readonly memory: SessionMemory;
  readonly compression: Compression;
  /** Whether tokens move back as they are evicted, so that the context never fills while decoding. */
  readonly endless: boolean;
  readonly timings = new SessionTimings();
  readonly #parts: SessionParts;
  readonly #queue = pLimit(1);
  #logits: Float32Array | undefined;
  #nPast = 0;
  #pendingToken: number | undefined;
  #generating = false;
  #disposed = false;
  /** Ends a prefill within a chunk when the session is disposed. */
  readonly #stopping = new AbortController();

  /** @internal */
  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.compression = parts.compression;
    const { model, compression, kvFormat, onFree } = parts;
    this.endless = isEndless(compression, model.hp);
    const recompresses = compression.recipe.every !== undefined;
    this.memory = new SessionMemory(
      new KvCache(model.hp, kvFormat),
      recompresses ? new Recompression(model, compression) : undefined,
      onFree,
    );
    this.memory.watch(this);
  }

  /** Keys and values per layer and kv head, with their real sizes. */
  get cache(): KvCache {
    return this.memory.cache;
  }

  get #recompression(): Recompression | undefined {
    return this.memory.recompression;
  }

  /** Tokens seen so far, evicted ones included: the true position of the next one. */
  get nPast(): number {
    return this.#nPast;
  }

  /** Tokens that the model's context holds. */
  get contextSize(): number {
    return this.#parts.model.hp.nCtx;
  }

  /** Tokens that the context still has room for. */
  get room(): number {
    return this.endless ? Infinity : this.contextSize - this.#nPast;
  }

  /** Logits after the newest token, f32 [nVocab]. Overwritten by the next step. */
  get logits(): Float32Array {
    this.#assertAlive();
    if (this.#logits === undefined) {
      throw new PyramidKVError("USAGE", "there are no logits before the first prefill");
    }
    return this.#logits;
  }

  /**
   * Runs tokens through the model and compresses what they leave in the cache. The first call cuts
   * every layer to its budget; later ones append, and cut again once the cache outgrows `kvLimit`.
   *
   * @throws `USAGE` on no tokens, on ids outside the vocabulary, and where a given alpha exceeds the prompt
   * @throws `CONTEXT_FULL` where the tokens do not fit into the model's context
   */
  async prefill(tokens: ArrayLike<number>, options: PrefillOptions = {}): Promise<void> {
    await this.exclusively(() => this.runPrefill([this], tokens, options));
  }

  /** Appends one token and computes the logits after it. */
  async decode(token: number): Promise<void> {
    await this.exclusively(async () => {
      await this.decodePending();
      await this.#decode(token);
    });
  }

  /**
   * Generates from the logits at hand, after the calls made before it. Throws `ABORTED` when `signal`
   * fires; what came stays, and the next call goes on from there.
   */
  async *generate(options: GenerateOptions = {}): AsyncGenerator<Piece, void, undefined> {
    for await (const { text, token, finishReason, error } of answersOf(
      this.#parts.decoder,
      [this],
      options,
    )) {
      if (error !== undefined) throw error;
      if (finishReason === undefined) yield { text, token };
      else yield { text, token, finishReason: finishReason as FinishReason };
    }
  }

  /** @internal Keeps other calls away while an answer is made, until what is returned is called. */
  occupy(): () => void {
    this.#assertAlive();
    this.#assertIdle();
    this.#generating = true;
    return () => {
      this.#generating = false;
    };
  }

  /** @internal Makes ready to answer from the logits at hand. */
  async beginAnswer(given: GenerateOptions): Promise<Answer> {
    const { tokenizer, model } = this.#parts;
    const options = readOptions(
      "generate",
      GENERATE_OPTIONS satisfies Named<GenerateOptions>,
      given,
    );
    const stop = stopsOf(options.stop);
    const { ignoreEndOfText = false, minTokens = 0 } = options;
    await this.decodePending();
    // Where the context is full, the logits of one more token are there all the same.
    const most = Math.max(1, this.room);
    const { maxTokens = Math.min(DEFAULT_MAX_TOKENS, most) } = options;
    if (maxTokens > most) throw contextFull(this.#nPast, maxTokens, model.hp.nCtx);
    void this.logits;
    // Now rather than after some tokens, so that the decode graph is built once.
    await this.#makeRoom(Math.min(maxTokens, this.room, ROOM_AT_START));
    const sampler = createSampler(options, model.hp.nVocab);
    return new Answer({ tokenizer, sampler, maxTokens, minTokens, stop, ignoreEndOfText });
  }

  /** @internal */
  nextPiece(answer: Answer): Piece {
    const { piece, belongs } = answer.next(this.logits);
    // From here on the token is part of the answer, even if the caller stops listening.
    if (belongs) this.#pendingToken = piece.token;
    return piece;
  }

  /** Forgets all tokens and frees their cache. */
  async reset(): Promise<void> {
    await this.exclusively(() => {
      this.#parts.decoder.forget(this.sequence);
      this.cache.clear();
      this.#recompression?.reset();
      this.#nPast = 0;
      this.#logits = undefined;
      this.#pendingToken = undefined;
      return Promise.resolve();
    });
  }

  /** Frees the session's memory, after the step that may be running. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#stopping.abort();
    if (this.#queue.activeCount > 0) void this.#queue(() => this.memory[Symbol.dispose]());
    else this.memory[Symbol.dispose]();
  }

  /** @internal Resolves when no step of this session runs any more. */
  async idle(): Promise<void> {
    await this.#queue(() => undefined);
  }

  /** @internal Runs `task` once this session is free, which it then is not until `task` ends. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    this.#assertAlive();
    this.#assertIdle();
    return this.locked(task);
  }

  /** @internal The same for the parts of an answer. */
  locked<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue(() => {
      this.#assertAlive();
      return task();
    });
  }

  /** @internal One prefill that fills the caches of `sessions`, of which this is the first. */
  async runPrefill(
    sessions: readonly Session[],
    given: ArrayLike<number>,
    options: PrefillOptions,
  ): Promise<void> {
    const { model, chunkTokens } = this.#parts;
    const { signal, onProgress } = readOptions(
      "prefill",
      PREFILL_OPTIONS satisfies Named<PrefillOptions>,
      options,
    );
    requireList("tokens", given);
    throwIfAborted(signal);
    const pending = this.#pendingToken === undefined ? 0 : 1;
    const length = this.#nPast + pending + given.length;
    // Before anything is copied or looked at: a list may be of any length.
    if (length > model.hp.nCtx) throw contextFull(length, 0, model.hp.nCtx);
    checkTokens(given, model.hp.nVocab);
    const tokens = new Int32Array(pending + given.length);
    if (this.#pendingToken !== undefined) tokens[0] = this.#pendingToken;
    tokens.set(given, pending);
    const targets = sessions.map((s) => s.#target(tokens.length));
    const size = chunkTokens ?? defaultChunkTokens(tokens.length, model.hasKernels);
    const probe = this.#probe(tokens, targets);
    const started = performance.now();
    const { logits, compressMs, nextPositions } = await prefill({
      model,
      tokens,
      probe,
      firstPosition: this.#nPast,
      targets,
      chunkTokens: size,
      signal: AbortSignal.any([this.#stopping.signal, ...(signal ? [signal] : [])]),
      onProgress,
    });
    const prefillMs = performance.now() - started;
    for (const [i, session] of sessions.entries()) {
      session.#logits = Float32Array.from(logits);
      session.#nPast = nextPositions[i] as number;
      session.#pendingToken = undefined;
      const { received, cut } = targets[i] as PrefillTarget;
      if (received !== undefined) session.#recompression?.begin(session.cache, received, cut);
      session.timings.addPrefill(tokens.length, prefillMs, compressMs);
    }
  }

  #target(nNew: number): PrefillTarget {
    const { cache, compression } = this;
    const { alpha, kvSize } = compression.options;
    const isFirst = cache.isEmpty;
    const usesAlpha = compression.method.options.includes("alpha");
    if (compression.alphaGiven && usesAlpha && isFirst && alpha > nNew) {
      throw new PyramidKVError(
        "USAGE",
        `alpha ${alpha} is larger than the prompt of ${nNew} tokens; use --alpha ${nNew} or less`,
      );
    }
    const measured = compression.method.budget.kind === "measured";
    const cut = isFirst ? measured || nNew > kvSize : cache.meanKept + nNew > this.#parts.kvLimit;
    const room = compression.recipe.every ?? 0;
    const received = this.#recompression?.newReceived();
    return { cache, compression, cut, room, received };
  }

  /** What is read after the prompt to observe it, where the methods want that. */
  #probe(prompt: Int32Array, targets: readonly PrefillTarget[]): Int32Array[] {
    const kinds = targets.flatMap((t) => (t.cut ? (t.compression.recipe.probe ?? []) : []));
    const [kind, ...others] = new Set(kinds);
    if (kind === undefined) return [];
    if (others.length > 0) {
      throw new PyramidKVError("USAGE", "methods with different probes cannot share a prefill");
    }
    const { tokenizer, model, chunkTokens } = this.#parts;
    const room = model.hp.nCtx - this.#nPast - prompt.length;
    const largest = chunkTokens ?? largestChunkTokens(model.hasKernels);
    return probePieces(kind, { prompt, tokenizer, room, chunkTokens: largest });
  }

  /** @internal Puts the last token of an answer that ended early into the cache, so that the logits follow it. */
  async decodePending(): Promise<void> {
    const token = this.#pendingToken;
    if (token !== undefined) await this.#decode(token);
  }

  async #decode(token: number): Promise<void> {
    await this.#parts.decoder.step([this], [token]);
  }

  /** @internal */
  get sequence(): Sequence {
    return { cache: this.cache, ring: this.#recompression?.ring };
  }

  /** @internal Checks a token and makes room for it. */
  async beginStep(token: number): Promise<DecodeStep> {
    const { hp } = this.#parts.model;
    const { logits } = this;
    checkTokens([token], hp.nVocab);
    if (this.#nPast >= hp.nCtx) throw contextFull(this.#nPast, 1, hp.nCtx);
    await this.#makeRoom();
    return { ...this.sequence, token, position: this.#nPast, logits };
  }

  /** @internal Goes on behind a token that a graph appended. */
  stepped(): void {
    this.#nPast++;
    this.#pendingToken = undefined;
  }

  /** @internal Compresses again where it is time. */
  async endStep(started: number, computeMs: number): Promise<void> {
    if (this.#recompression?.due === true) {
      this.#nPast = await this.#recompression.run(this.cache, this.#nPast);
    }
    this.timings.addDecode(performance.now() - started, computeMs);
  }

  /** Moves caches to larger memory when one lacks room for `n` tokens, all that can grow at once. */
  async #makeRoom(n = 1): Promise<void> {
    await slide(this.cache.layers);
    if (this.cache.layers.every((layer) => layer.free >= n)) return;
    for (const batch of this.#growBatches()) {
      const layers = batch.map((il) => this.cache.layer(il) as LayerCache);
      const larger = await grow(layers);
      this.cache.setLayers(new Map(batch.map((il, i) => [il, larger[i] as LayerCache])));
    }
  }

  /** Small caches move together, which is one graph a device; large ones one by one, which holds less at a time. */
  #growBatches(): number[][] {
    const growing = this.cache.attending.filter((il) =>
      canGrow(this.cache.layer(il) as LayerCache),
    );
    if (this.cache.bytes > MOVED_TOGETHER_BYTES) return growing.map((il) => [il]);
    const { stages } = this.#parts.model;
    return stages
      .map(({ first, end }) => growing.filter((il) => il >= first && il < end))
      .filter((batch) => batch.length > 0);
  }

  #assertAlive(): void {
    if (this.#disposed) throw new PyramidKVError("DISPOSED", "this session was disposed");
  }

  #assertIdle(): void {
    if (this.#generating) {
      throw new PyramidKVError("BUSY", "this session is generating; let it end or break the loop");
    }
  }
}
