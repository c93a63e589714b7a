import { availableParallelism } from "node:os";
import type { CompressionOptions } from "../compression/compression-options.ts";
import type { HeadProfile } from "../compression/profile.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { PyramidKVError, requireInteger } from "../errors.ts";
import { Backend } from "../ggml/backend.ts";
import { Executor } from "../ggml/executor.ts";
import { chooseKernels, kernelInfo, type KernelInfo } from "../ggml/kernels/choices.ts";
import { Kernels } from "../ggml/kernels/kernels.ts";
import { openGguf } from "../gguf/file.ts";
import { findProfile } from "./profiles.ts";
import { resolveModel } from "../hub/resolve.ts";
import { kvFormat } from "../kvcache/kv-format.ts";
import { tokensWithin } from "../kvcache/token-bytes.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import { fingerprint, weightsName } from "../models/fingerprint.ts";
import { Model } from "../models/model.ts";
import { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { GenerateOptions } from "./generate.ts";
import { Session, type PrefillOptions } from "./session.ts";
import { watchAttention, type WatchOptions } from "./watch-attention.ts";
import { DecodeBatch, prefillTogether, type PieceOf } from "./together.ts";

/** ggml's own limit, GGML_MAX_N_THREADS. */
const MAX_THREADS = 512;
const MAX_CHUNK = 4096;

export interface EngineOptions {
  /** Path of a .gguf, an alias, or `owner/repo[:quant]` on the Hugging Face hub. Defaults to `smollm2-135m`. */
  readonly model?: string;
  /** CPU threads. Defaults to the cores at hand. */
  readonly threads?: number;
  /** Prompt tokens per graph in prefill, at most 4,096. Defaults to as few chunks of up to 2,048 as there can be, all alike, with ggml's operations to 512. */
  readonly chunkTokens?: number;
  /**
   * What computes attention and matmuls: `auto`, our fastest kernels that run here; `ggml`; or a variant by
   * name (`avx2`, `avx512`, `avx512vnni`, `avx512bf16`, `avx512vnnibf16`, `amx`, `neon`). Defaults to `auto`.
   */
  readonly kernels?: string;
  /** Called while the model is fetched and loaded. */
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
  /** Told, in a sentence, what of the model is not as its file asks. Defaults to a warning of the process. */
  readonly onWarning?: (message: string) => void;
}

export interface LoadProgress {
  readonly phase: "download" | "load";
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface SessionOptions extends CompressionOptions {
  /** Bytes that the kept keys and values may take, instead of `kvSize`: the largest size that fits, padding aside. */
  readonly kvBytes?: number;
  /** Type of the cached keys and values, one of `KV_TYPES`. Defaults to `f16`. */
  readonly kvType?: string;
  /** Tokens per layer, averaged, beyond which later turns are compressed again. Defaults to 2 · kvSize. */
  readonly kvLimit?: number;
}

/** A loaded model. Everything that runs on it is a session. */
export class Engine implements AsyncDisposable {
  readonly #backend: Backend;
  readonly #executor: Executor;
  readonly #model: Model;
  readonly #tokenizer: Tokenizer | undefined;
  readonly #chunkTokens: number | undefined;
  readonly #sessions = new Set<Session>();
  readonly #batch: DecodeBatch;
  #disposed = false;

  private constructor(
    parts: {
      backend: Backend;
      executor: Executor;
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
    this.#backend = parts.backend;
    this.#executor = parts.executor;
    this.#model = parts.model;
    this.#tokenizer = parts.tokenizer;
    this.#chunkTokens = chunkTokens;
    this.#batch = new DecodeBatch(parts.model, parts.executor);
  }

  /**
   * Finds, checks and loads a model.
   *
   * @throws `BAD_FILE`, `UNSUPPORTED`, `NETWORK` or `USAGE`, with what to do; nothing stays allocated
   */
  static async load(options: EngineOptions = {}): Promise<Engine> {
    const { onProgress, signal } = options;
    const threads = requireInteger(
      "threads",
      options.threads ?? availableParallelism(),
      1,
      MAX_THREADS,
    );
    const report = (phase: LoadProgress["phase"]) => (doneBytes: number, totalBytes: number) =>
      onProgress?.({ phase, doneBytes, totalBytes });
    const path = await resolveModel(options.model ?? "smollm2-135m", {
      onProgress: report("download"),
      signal,
    });

    const started = performance.now();
    await using file = await openGguf(path);
    const { chunkTokens } = options;
    if (chunkTokens !== undefined) requireInteger("chunkTokens", chunkTokens, 1, MAX_CHUNK);
    const chosen = chooseKernels(options.kernels ?? "auto");
    const backend = new Backend(threads);
    const kernels = chosen.variant && new Kernels(chosen.variant, threads, backend.bufferType);
    const executor = new Executor(backend, kernels);
    // Side by side: the weights arrive while the vocabulary is checked and libllama reads it.
    const [model, tokenizer] = await Promise.allSettled([
      Model.load(executor, file, { onProgress: report("load"), signal }),
      Tokenizer.load(file),
    ]);
    if (tokenizer.status === "fulfilled" && model.status === "fulfilled") {
      const parts = { backend, executor, model: model.value, tokenizer: tokenizer.value };
      const info = kernelInfo(chosen);
      const identity = await fingerprint(file);
      const profile = profileFor(await findProfile(identity), model.value.hp);
      const known = { fingerprint: identity, weights: weightsName(identity, file), profile };
      const { onWarning = warnOfProcess } = options;
      for (const warning of [...model.value.warnings, ...(tokenizer.value?.warnings ?? [])]) {
        onWarning(warning);
      }
      return new Engine(parts, chunkTokens, info, known, performance.now() - started);
    }
    if (tokenizer.status === "fulfilled") tokenizer.value?.[Symbol.dispose]();
    if (model.status === "fulfilled") model.value[Symbol.dispose]();
    executor[Symbol.dispose]();
    backend[Symbol.dispose]();
    const failed = model.status === "rejected" ? model : (tokenizer as PromiseRejectedResult);
    throw withPath(path, failed.reason);
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
    return this.#executor.kernels?.workspace.bytes ?? 0;
  }

  get tokenizer(): Tokenizer {
    this.#assertAlive();
    if (this.#tokenizer === undefined) {
      throw new PyramidKVError("UNSUPPORTED", "this model's file has no vocabulary");
    }
    return this.#tokenizer;
  }

  /** A new, empty timeline. Throws `USAGE` on options that do not fit together. */
  createSession(options: SessionOptions = {}): Session {
    this.#assertAlive();
    const { kvType = "f16", kvLimit, kvBytes, ...rest } = options;
    const format = kvFormat(kvType, this.model.headDim);
    const size =
      kvBytes === undefined ? {} : { kvSize: tokensWithin(kvBytes, this.model, format.type) };
    const compression = resolveCompression({ ...rest, ...size }, this.profile);
    if (typeof rest.profile === "object") requireProfile(rest.profile, this.model);
    const { kvSize } = compression.options;
    const session = new Session({
      model: this.#model,
      executor: this.#executor,
      tokenizer: this.#tokenizer,
      chunkTokens: this.#chunkTokens,
      compression,
      kvFormat: format,
      kvLimit: requireInteger("kvLimit", kvLimit ?? 2 * kvSize, kvSize),
      onFree: () => this.#sessions.delete(session),
    });
    this.#sessions.add(session);
    return session;
  }

  /**
   * One prefill for several new sessions: attention is computed once, and each session compresses
   * every layer in its own way. For comparing methods on the same prompt.
   */
  prefillTogether(
    sessions: readonly Session[],
    tokens: ArrayLike<number>,
    options: PrefillOptions = {},
  ): Promise<void> {
    this.#requireDistinct("prefillTogether", sessions);
    return prefillTogether(sessions, tokens, options);
  }

  /**
   * Appends one token to each session, in one graph: the weights are read once for all. The logits may differ from
   * those of single steps by what other sums in the same precision differ.
   *
   * @param tokens one for each session
   * @throws `USAGE` on more than 128 sessions
   */
  decodeTogether(sessions: readonly Session[], tokens: ArrayLike<number>): Promise<void> {
    this.#requireDistinct("decodeTogether", sessions);
    const given = Array.from(tokens);
    requireBatch(sessions.length);
    if (given.length !== sessions.length) {
      throw new PyramidKVError(
        "USAGE",
        `decodeTogether takes a token for each of its ${sessions.length} sessions, not ${given.length}`,
      );
    }
    return sessions.length === 0 ? Promise.resolve() : this.#batch.decode(sessions, given);
  }

  /**
   * The answers of several sessions, decoded together. Pieces come round by round, in the order of the sessions;
   * those that ended leave the batch. All have the same options, the seed included.
   */
  generateTogether(
    sessions: readonly Session[],
    options: GenerateOptions = {},
  ): AsyncGenerator<PieceOf, void, undefined> {
    this.#requireDistinct("generateTogether", sessions);
    requireBatch(sessions.length);
    return this.#batch.generate(sessions, options);
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
    const [model, executor, chunkTokens] = [this.#model, this.#executor, this.#chunkTokens];
    await watchAttention({ model, executor, chunkTokens }, tokens, options);
  }

  #requireDistinct(name: string, sessions: readonly Session[]): void {
    this.#assertAlive();
    const distinct = new Set(sessions);
    if (distinct.size < sessions.length || sessions.some((s) => !this.#sessions.has(s))) {
      throw new PyramidKVError("USAGE", `${name} takes different sessions of this engine`);
    }
  }

  /** Frees everything, its sessions included, after the steps that may be running. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const sessions = [...this.#sessions];
    for (const session of sessions) session[Symbol.dispose]();
    await Promise.all(sessions.map((s) => s.idle()));
    await this.#executor.idle();
    this.#batch[Symbol.dispose]();
    this.#executor[Symbol.dispose]();
    this.#model[Symbol.dispose]();
    this.#tokenizer?.[Symbol.dispose]();
    this.#backend[Symbol.dispose]();
  }

  #assertAlive(): void {
    if (this.#disposed) throw new PyramidKVError("DISPOSED", "this engine was disposed");
  }
}

/** ggml's allocator aborts on graphs of some 230 sequences. */
const LARGEST_BATCH = 128;

function requireBatch(n: number): void {
  if (n <= LARGEST_BATCH) return;
  throw new PyramidKVError(
    "USAGE",
    `${n} sessions are too many for one step; at most ${LARGEST_BATCH} decode together`,
  );
}

/** A profile that fits the model's layers and heads. */
function profileFor(
  profile: HeadProfile | undefined,
  { nLayer, nHeadKv }: HyperParameters,
): HeadProfile | undefined {
  const fits = profile?.weights.length === nLayer && profile.weights[0]?.length === nHeadKv;
  return fits ? profile : undefined;
}

function requireProfile(profile: HeadProfile, hp: HyperParameters): void {
  if (profileFor(profile, hp) !== undefined) return;
  const [layers, heads] = [profile.weights.length, profile.weights[0]?.length ?? 0];
  throw new PyramidKVError(
    "USAGE",
    `the profile is of ${layers} layers and ${heads} kv heads, the model has ${hp.nLayer} and ${hp.nHeadKv}`,
  );
}

function warnOfProcess(message: string): void {
  process.emitWarning(message, "PyramidKVWarning");
}

function withPath(path: string, error: unknown): Error {
  return error instanceof PyramidKVError && error.code !== "ABORTED"
    ? new PyramidKVError(error.code, `${path}: ${error.message}`, { cause: error })
    : (error as Error);
}
