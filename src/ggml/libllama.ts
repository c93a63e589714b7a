import { PyramidKVError } from "../errors.ts";
import { callAsync, viewNative, type Pointer } from "./ffi.ts";
import { native } from "./native.ts";
import { NativeOwner } from "./owner.ts";

const F16 = 1;

export interface LibllamaOptions {
  readonly threads: number;
  /** Tokens that its cache can hold. */
  readonly nCtx: number;
}

/**
 * libllama running the same file with its full cache: the oracle that our logits are held against and
 * the peer that our speed is measured by. Nothing in the product's own path uses it.
 */
export class Libllama extends NativeOwner {
  readonly #model: Pointer;
  readonly #context: Pointer;
  readonly #nVocab: number;

  private constructor(model: Pointer, context: Pointer, nVocab: number) {
    super();
    this.#model = model;
    this.#context = context;
    this.#nVocab = nVocab;
  }

  static async load(path: string, options: LibllamaOptions): Promise<Libllama> {
    const { llama } = native();
    const model = await callAsync(llama.modelLoad, path, llama.modelDefaultParams());
    if (model === null) throw new PyramidKVError("NATIVE", `libllama cannot load ${path}`);
    const context = llama.contextInit(model, {
      ...llama.contextDefaultParams(),
      n_ctx: options.nCtx,
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
    return new Libllama(model, context, llama.vocabSize(llama.modelVocab(model)));
  }

  /** Appends tokens and returns the logits after the last one, f32 [nVocab]. */
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
    llama.contextSynchronize(this.#context);
    const logits = llama.logits(this.#context, -1);
    if (logits === null) throw new PyramidKVError("NATIVE", "libllama gave no logits");
    return new Float32Array(viewNative(logits, this.#nVocab * 4)).slice();
  }

  protected release(): void {
    const { llama } = native();
    llama.contextFree(this.#context);
    llama.modelFree(this.#model);
  }
}
