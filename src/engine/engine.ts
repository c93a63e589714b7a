import { availableParallelism } from "node:os";
import type { HeadProfile } from "../compression/profile.ts";
import { naming, PyramidKVError, throwIfAborted } from "../errors.ts";
import { readOptions, requireList, type Named } from "../options.ts";
import { Device } from "../ggml/device.ts";
import { chooseKernels, kernelInfo, type KernelInfo } from "../ggml/kernels/choices.ts";
import { openGguf } from "../gguf/file.ts";
import { findProfile } from "./profiles.ts";
import { resolveModel } from "../hub/resolve.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import { fingerprint, weightsName } from "../models/fingerprint.ts";
import { Model } from "../models/model.ts";
import { placedOn } from "../models/placement.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { GenerateOptions } from "./answer.ts";
import { answersOf, type PieceFrom } from "./answers.ts";
import { Decoder, LARGEST_BATCH } from "./decode/decoder.ts";
import { holding } from "./member.ts";
import { ENGINE_OPTIONS } from "./option-tables.ts";
import { Session, type PrefillOptions } from "./session.ts";
import type { SessionMemory } from "./session-memory.ts";
import { fitsModel, resolveSession, type SessionOptions } from "./session-options.ts";
import { watchAttention, type WatchOptions } from "./watch-attention.ts";

export type { KernelInfo } from "../ggml/kernels/choices.ts";

const DEFAULT_MODEL = "smollm2-135m";

export interface EngineOptions {
  /** Path of a .gguf, an alias, or `owner/repo[:quant]` on the Hugging Face hub. Defaults to `smollm2-135m`. */
  readonly model?: string;
  /** CPU threads. Defaults to the cores at hand. */
  readonly threads?: number;
  /** Prompt tokens per graph in prefill, at most 4,096. By default a prompt is split into equal chunks, as few as possible, of up to 2,048 tokens each; with ggml's operations chunks have 512. */
  readonly chunkTokens?: number;
  /**
   * Tokens that a session may have, evicted ones included. Defaults to what the model was trained for, which is the most. Models
   * with two sets of rotation factors (Phi 3) take those for short contexts where it is short enough.
   */
  readonly context?: number;
  /**
   * What computes attention and matmuls: `auto`, our fastest kernels that run here; `ggml`; or a variant by
   * name (`avx2`, `avx512`, `avx512vnni`, `avx512bf16`, `avx512vnnibf16`, `amx`, `neon`). Defaults to `auto`.
   */
  readonly kernels?: string;
  /** Called while the model is fetched and loaded. */
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
  /** Called with a sentence for each thing in the model that differs from what its file asks. Defaults to a warning of the process. */
  readonly onWarning?: (message: string) => void;
}

/** A piece of one of several answers. */
export type PieceOf = PieceFrom<Session>;

export interface LoadProgress {
  readonly phase: "download" | "load";
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** A loaded model. Everything that runs on it is a session. */
export class Engine implements AsyncDisposable {
  readonly #device: Device;
  readonly #model: Model;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #chunkTokens: number | undefined;
  /** Sessions by their memory, which outlives a session that somebody forgets. */
  readonly #sessions = new Map<SessionMemory, WeakRef<Session>>();
  readonly #decoder: Decoder;
  #disposed = false;

  private constructor(
    parts: {
      device: Device;
      model: Model;
      tokenizer: Tokenizer | undefined;
    },
    chunkTokens: number | undefined,
    /** What attention and matmuls are computed with. */
    readonly kernels: KernelInfo,
    private readonly known: {
      fingerprint: string;
      weights: string;
      profile: HeadProfile | undefined;
    },
    /** Milliseconds from the start of `load` to the first possible call, without the download. */
    readonly loadMs: number,
  ) {
    this.#device = parts.device;
    this.#model = parts.model;
    this.#tokenizer = parts.tokenizer;
    this.#chunkTokens = chunkTokens;
    this.#decoder = new Decoder(parts.model);
  }

  /**
   * Finds, checks and loads a model.
   *
   * @throws `BAD_FILE`, `UNSUPPORTED`, `NETWORK` or `USAGE`, with what to do; nothing stays allocated
   */
  static async load(options: EngineOptions = {}): Promise<Engine> {
    const given = readOptions(
      "Engine.load",
      ENGINE_OPTIONS satisfies Named<EngineOptions>,
      options,
    );
    const { onProgress, signal, chunkTokens, threads = availableParallelism() } = given;
    throwIfAborted(signal);
    const report = (phase: LoadProgress["phase"]) => (doneBytes: number, totalBytes: number) =>
      onProgress?.({ phase, doneBytes, totalBytes });
    const path = await resolveModel(given.model ?? DEFAULT_MODEL, {
      onProgress: report("download"),
      signal,
    });

    const started = performance.now();
    await using file = await openGguf(path);
    const chosen = chooseKernels(given.kernels ?? "auto");
    const device = new Device({ threads, kernels: chosen.variant });
    // Side by side: the weights arrive while the vocabulary is checked and libllama reads it.
    const [model, tokenizer] = await Promise.allSettled([
      Model.load(placedOn(device), file, {
        onProgress: report("load"),
        signal,
        context: given.context,
      }),
      Tokenizer.load(file),
    ]);
    try {
      throwIfAborted(signal);
      if (model.status === "rejected") throw naming(path, model.reason);
      if (tokenizer.status === "rejected") throw naming(path, tokenizer.reason);
      const parts = { device, model: model.value, tokenizer: tokenizer.value };
      const info = kernelInfo(chosen);
      const identity = await fingerprint(file);
      const { nCtx } = model.value.hp;
      const found = await findProfile(identity);
      const profile = found && fitsModel(found, model.value.hp) ? found : undefined;
      const identified = {
        fingerprint: identity,
        weights: weightsName(identity, file, nCtx),
        profile,
      };
      const { onWarning = warnOfProcess } = given;
      for (const warning of [...model.value.warnings, ...(tokenizer.value?.warnings ?? [])]) {
        onWarning(warning);
      }
      return new Engine(parts, chunkTokens, info, identified, performance.now() - started);
    } catch (error) {
      if (tokenizer.status === "fulfilled") tokenizer.value?.[Symbol.dispose]();
      if (model.status === "fulfilled") model.value[Symbol.dispose]();
      device[Symbol.dispose]();
      throw error;
    }
  }

  /** The model's numbers: layers, heads, context and the like. */
  get model(): HyperParameters {
    return this.#model.hp;
  }

  /** Names the model by its weights: the same for every quantization of one training. */
  get fingerprint(): string {
    return this.known.fingerprint;
  }

  /** Names the model by its weights and their types: each quantization has its own. */
  get weights(): string {
    return this.known.weights;
  }

  /** What was calibrated for this model's kv heads, if anything was. */
  get profile(): HeadProfile | undefined {
    return this.known.profile;
  }

  /** Bytes held for weights. */
  get weightBytes(): number {
    return this.#model.weightBytes;
  }

  /** Bytes that our kernels pack weights, keys and values into; 0 before the first prompt. */
  get workspaceBytes(): number {
    return this.#device.workspaceBytes;
  }

  /** @internal Graphs that were built for decoding. */
  get graphsBuilt(): number {
    return this.#decoder.built;
  }

  get tokenizer(): Tokenizer {
    this.#assertAlive();
    if (this.#tokenizer === undefined) {
      throw new PyramidKVError("UNSUPPORTED", "this model's file has no vocabulary");
    }
    return this.#tokenizer;
  }

  /**
   * A new, empty timeline.
   *
   * @throws `USAGE` on unknown options, values of a wrong kind, and what does not fit together
   */
  createSession(options: SessionOptions = {}): Session {
    this.#assertAlive();
    const { compression, format, kvLimit } = resolveSession(options, this.model, this.profile);
    const session = new Session({
      model: this.#model,
      decoder: this.#decoder,
      tokenizer: this.#tokenizer,
      chunkTokens: this.#chunkTokens,
      compression,
      kvFormat: format,
      kvLimit,
      onFree: (memory) => {
        this.#decoder.forget({ cache: memory.cache });
        this.#sessions.delete(memory);
      },
    });
    this.#sessions.set(session.memory, new WeakRef(session));
    return session;
  }

  /**
   * One prefill for several new sessions: attention is computed once, and each session compresses
   * every layer in its own way. For comparing methods on the same prompt.
   */
  async prefillTogether(
    sessions: readonly Session[],
    tokens: ArrayLike<number>,
    options: PrefillOptions = {},
  ): Promise<void> {
    this.#requireDistinct("prefillTogether", sessions);
    const [first] = sessions;
    if (first === undefined) return;
    await holding(sessions, "exclusively", () => {
      if (sessions.length > 1 && sessions.some((s) => s.nPast > 0)) {
        throw new PyramidKVError("USAGE", "only new sessions can share a prefill");
      }
      return first.runPrefill(sessions, tokens, options);
    });
  }

  /**
   * Appends one token to each session, in one graph: the weights are read once for all. With our kernels for AVX-512 the
   * logits are those of single steps to the bit; ggml's operations sum many columns in another order than one.
   *
   * @param tokens one for each session
   * @throws `USAGE` on more than 128 sessions
   */
  async decodeTogether(sessions: readonly Session[], tokens: ArrayLike<number>): Promise<void> {
    this.#requireDistinct("decodeTogether", sessions);
    requireList("tokens", tokens);
    const nextTokens = Array.from(tokens);
    requireBatch(sessions.length);
    if (nextTokens.length !== sessions.length) {
      throw new PyramidKVError(
        "USAGE",
        `decodeTogether takes a token for each of its ${sessions.length} sessions, not ${nextTokens.length}`,
      );
    }
    if (sessions.length === 0) return;
    await holding(sessions, "exclusively", async () => {
      for (const session of sessions) await session.decodePending();
      await this.#decoder.step(sessions, nextTokens);
    });
  }

  /**
   * The answers of several sessions, decoded together. Pieces come round by round, in the order of the sessions;
   * those that ended leave the batch. All have the same options, the seed included.
   */
  async *generateTogether(
    sessions: readonly Session[],
    options: GenerateOptions = {},
  ): AsyncGenerator<PieceOf, void, undefined> {
    this.#requireDistinct("generateTogether", sessions);
    requireBatch(sessions.length);
    yield* answersOf(this.#decoder, sessions, options);
  }

  /**
   * Reads tokens for their attention alone, layer by layer, without a cache. No more than one layer's keys and values,
   * and the weights of the chosen queries of one kv head, are held at a time.
   *
   * @throws `USAGE` on tokens outside the vocabulary and on queries that are not ascending indices of tokens
   * @throws `CONTEXT_FULL` where the tokens do not fit into the model's context
   */
  async watchAttention(tokens: ArrayLike<number>, options: WatchOptions): Promise<void> {
    this.#assertAlive();
    const [model, chunkTokens] = [this.#model, this.#chunkTokens];
    await watchAttention({ model, chunkTokens }, tokens, options);
  }

  #requireDistinct(name: string, sessions: readonly Session[]): void {
    this.#assertAlive();
    const isOwn = (s: unknown) => s instanceof Session && this.#sessions.has(s.memory);
    const areOwn = Array.isArray(sessions) && sessions.every(isOwn);
    if (!areOwn || new Set(sessions).size < sessions.length) {
      throw new PyramidKVError("USAGE", `${name} takes different sessions of this engine`);
    }
  }

  /** Frees everything, its sessions included, after the steps that may be running. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const memories = [...this.#sessions];
    for (const [memory, ref] of memories) (ref.deref() ?? memory)[Symbol.dispose]();
    await Promise.all(memories.map(async ([, ref]) => ref.deref()?.idle()));
    await this.#device.idle();
    this.#decoder[Symbol.dispose]();
    this.#device[Symbol.dispose]();
    this.#model[Symbol.dispose]();
    this.#tokenizer?.[Symbol.dispose]();
  }

  #assertAlive(): void {
    if (this.#disposed) throw new PyramidKVError("DISPOSED", "this engine was disposed");
  }
}

function requireBatch(n: number): void {
  if (n <= LARGEST_BATCH) return;
  throw new PyramidKVError(
    "USAGE",
    `${n} sessions are too many for one step; at most ${LARGEST_BATCH} decode together`,
  );
}

function warnOfProcess(message: string): void {
  process.emitWarning(message, "PyramidKVWarning");
}
