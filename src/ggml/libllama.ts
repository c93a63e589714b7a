import { PyramidKVError } from "../errors.ts";
import { callAsync, readPointer, viewNative, type Pointer } from "./ffi.ts";
import { native } from "./native.ts";
import { NativeOwner } from "./owner.ts";

const F16 = 1;

export interface LibllamaOptions {
  readonly threads: number;
  /** Tokens that its cache can hold of each sequence. */
  readonly nCtx: number;
  /** Sequences, each with a cache of its own. Defaults to 1. */
  readonly sequences?: number;
}

/**
 * libllama running the same file with its full cache: the oracle that our logits are held against and
 * the peer that our speed is measured by. Nothing in the product's own path uses it.
 */
export class Libllama extends NativeOwner {
  readonly #model: Pointer;
  readonly #context: Pointer;
  readonly #nVocab: number;

  private constructor(
    model: Pointer,
    context: Pointer,
    nVocab: number,
    private readonly sequences: number,
  ) {
    super();
    this.#model = model;
    this.#context = context;
    this.#nVocab = nVocab;
  }

  static async load(path: string, options: LibllamaOptions): Promise<Libllama> {
    const { llama } = native();
    const { sequences = 1 } = options;
    const model = await callAsync(llama.modelLoad, path, llama.modelDefaultParams());
    if (model === null) throw new PyramidKVError("NATIVE", `libllama cannot load ${path}`);
    const context = llama.contextInit(model, {
      ...llama.contextDefaultParams(),
      n_ctx: sequences * options.nCtx,
      n_seq_max: sequences,
      n_batch: 2048,
      n_ubatch: 512,
      n_threads: options.threads,
      n_threads_batch: options.threads,
      type_k: F16,
      type_v: F16,
      no_perf: true,
    });
    if (context === null) {
      llama.modelFree(model);
      throw new PyramidKVError("NATIVE", `libllama has no room for ${options.nCtx} tokens`);
    }
    return new Libllama(model, context, llama.vocabSize(llama.modelVocab(model)), sequences);
  }

  /** Appends tokens to the first sequence and returns the logits after the last one, f32 [nVocab]. */
  async evaluate(tokens: Int32Array): Promise<Float32Array> {
    this.assertAlive();
    const { llama } = native();
    for (let at = 0; at < tokens.length; at += 2048) {
      const part = tokens.slice(at, at + 2048);
      const status = await callAsync(
        llama.decode,
        this.#context,
        llama.batchGetOne(part, part.length),
      );
      if (status !== 0) throw new PyramidKVError("NATIVE", `libllama stopped with ${status}`);
    }
    return this.#logits(-1);
  }

  /** Gives all sequences what the first one holds. */
  copyFirst(): void {
    const { llama } = native();
    const memory = llama.contextMemory(this.#context);
    for (let i = 1; i < this.sequences; i++) llama.copySequence(memory, 0, i, -1, -1);
  }

  /** Appends a token to each sequence, all at `position`, and returns the logits after each. */
  async evaluateTogether(tokens: readonly number[], position: number): Promise<Float32Array[]> {
    this.assertAlive();
    const { llama } = native();
    const batch = llama.batchInit(tokens.length, 0, 1);
    try {
      const ints = (at: Pointer) => new Int32Array(viewNative(at, 4 * tokens.length));
      const [token, pos, count] = [batch.token, batch.pos, batch.n_seq_id].map(ints);
      tokens.forEach((id, i) => {
        (token as Int32Array)[i] = id;
        (pos as Int32Array)[i] = position;
        (count as Int32Array)[i] = 1;
        const ids = readPointer(batch.seq_id, 8 * i) as Pointer;
        new Int32Array(viewNative(ids, 4))[0] = i;
      });
      new Uint8Array(viewNative(batch.logits, tokens.length)).fill(1);
      batch.n_tokens = tokens.length;
      const status = await callAsync(llama.decode, this.#context, batch);
      if (status !== 0) throw new PyramidKVError("NATIVE", `libllama stopped with ${status}`);
      return tokens.map((_, i) => this.#logits(i));
    } finally {
      llama.batchFree(batch);
    }
  }

  #logits(i: number): Float32Array {
    const { llama } = native();
    llama.contextSynchronize(this.#context);
    const logits = llama.logits(this.#context, i);
    if (logits === null) throw new PyramidKVError("NATIVE", "libllama gave no logits");
    return new Float32Array(viewNative(logits, this.#nVocab * 4)).slice();
  }

  protected release(): void {
    const { llama } = native();
    llama.contextFree(this.#context);
    llama.modelFree(this.#model);
  }
}
