import { PyramidKVError } from "../errors.ts";
import { callAsync, type Pointer } from "./ffi.ts";
import { native } from "./native.ts";
import { NativeOwner } from "./owner.ts";

/** libllama's vocabulary of a GGUF file, opened without its weights. */
export class Vocabulary extends NativeOwner {
  readonly size: number;
  readonly #model: Pointer;
  readonly #vocab: Pointer;

  private constructor(model: Pointer) {
    super();
    const { llama } = native();
    this.#model = model;
    this.#vocab = llama.modelVocab(model);
    this.size = llama.vocabSize(this.#vocab);
  }

  /** Loads off the event loop. The file must have passed `checkVocabulary`. */
  static async load(path: string): Promise<Vocabulary> {
    const { llama } = native();
    const params = { ...llama.modelDefaultParams(), vocab_only: true };
    const model = await callAsync(llama.modelLoad, path, params);
    if (model === null) {
      throw new PyramidKVError("BAD_FILE", "libllama could not read its vocabulary");
    }
    return new Vocabulary(model);
  }

  get bos(): number {
    this.assertAlive();
    return native().llama.vocabBos(this.#vocab);
  }

  get eos(): number {
    this.assertAlive();
    return native().llama.vocabEos(this.#vocab);
  }

  isEndOfGeneration(token: number): boolean {
    this.assertAlive();
    return native().llama.vocabIsEog(this.#vocab, token);
  }

  /** The token's own text in the vocabulary, e.g. `<|im_end|>`. */
  text(token: number): string {
    this.assertAlive();
    return native().llama.vocabText(this.#vocab, token);
  }

  tokenize(utf8: Uint8Array, addSpecial: boolean, parseSpecial: boolean): Int32Array {
    this.assertAlive();
    const { llama } = native();
    let tokens = new Int32Array(utf8.length + 8);
    const run = () =>
      llama.tokenize(
        this.#vocab,
        utf8,
        utf8.length,
        tokens,
        tokens.length,
        addSpecial,
        parseSpecial,
      );
    let n = run();
    if (n < 0) {
      tokens = new Int32Array(-n);
      n = run();
    }
    return tokens.slice(0, n);
  }

  /** The bytes that a token stands for; control tokens stand for none. */
  piece(token: number): Uint8Array {
    this.assertAlive();
    const { llama } = native();
    let bytes = new Uint8Array(64);
    let n = llama.tokenToPiece(this.#vocab, token, bytes, bytes.length, 0, false);
    if (n < 0) {
      bytes = new Uint8Array(-n);
      n = llama.tokenToPiece(this.#vocab, token, bytes, bytes.length, 0, false);
    }
    return bytes.slice(0, n);
  }

  protected release(): void {
    native().llama.modelFree(this.#model);
  }
}
