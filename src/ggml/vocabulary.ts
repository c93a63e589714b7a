import { callAsync, type Pointer } from "./ffi.ts";
import { native } from "./native.ts";
import { NativeOwner } from "./owner.ts";

/** Bits of a token's attributes, `llama_token_attr` of llama.h. */
export const TOKEN_ATTRIBUTES = {
  unknown: 1 << 0,
  control: 1 << 3,
  userDefined: 1 << 4,
  /** The token swallows the whitespace to its left. */
  stripsLeft: 1 << 7,
  /** The token swallows the whitespace to its right. */
  stripsRight: 1 << 8,
} as const;

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

  /**
   * Loads off the event loop. The file must have passed `checkVocabulary`.
   *
   * @param overrides values that count instead of the file's, by key
   * @returns undefined where libllama refuses
   */
  static async load(
    path: string,
    overrides: Readonly<Record<string, string>> = {},
  ): Promise<Vocabulary | undefined> {
    const { llama } = native();
    const kv_overrides = encodeOverrides(overrides);
    const params = { ...llama.modelDefaultParams(), vocab_only: true, kv_overrides };
    const model = await callAsync(llama.modelLoad, path, params);
    return model === null ? undefined : new Vocabulary(model);
  }

  get bos(): number {
    this.assertAlive();
    return native().llama.vocabBos(this.#vocab);
  }

  get eos(): number {
    this.assertAlive();
    return native().llama.vocabEos(this.#vocab);
  }

  /** Whether texts begin with the beginning-of-sequence token. */
  get addsBos(): boolean {
    this.assertAlive();
    return native().llama.vocabAddsBos(this.#vocab);
  }

  /** Whether texts end with the end-of-sequence token. */
  get addsEos(): boolean {
    this.assertAlive();
    return native().llama.vocabAddsEos(this.#vocab);
  }

  /** The bits of `TOKEN_ATTRIBUTES` that a token has, and others of libllama's. */
  attributes(token: number): number {
    this.assertAlive();
    return native().llama.vocabAttributes(this.#vocab, token);
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

  /**
   * The bytes that a token stands for.
   *
   * @param special whether control tokens stand for their own text; otherwise they stand for none
   */
  piece(token: number, special = false): Uint8Array {
    this.assertAlive();
    const { llama } = native();
    let bytes = new Uint8Array(64);
    let n = llama.tokenToPiece(this.#vocab, token, bytes, bytes.length, 0, special);
    if (n < 0) {
      bytes = new Uint8Array(-n);
      n = llama.tokenToPiece(this.#vocab, token, bytes, bytes.length, 0, special);
    }
    return bytes.slice(0, n);
  }

  protected release(): void {
    native().llama.modelFree(this.#model);
  }
}

/** `struct llama_model_kv_override`: a tag, a key and a value, here a string. */
const OVERRIDE = { bytes: 264, key: 4, value: 136, length: 128, string: 3 } as const;

/** The overrides one after the other, and an empty one at the end; null where there are none. */
function encodeOverrides(overrides: Readonly<Record<string, string>>): Buffer | null {
  const entries = Object.entries(overrides);
  if (entries.length === 0) return null;
  const bytes = Buffer.alloc(OVERRIDE.bytes * (entries.length + 1));
  for (const [i, [key, value]] of entries.entries()) {
    const at = i * OVERRIDE.bytes;
    bytes.writeInt32LE(OVERRIDE.string, at);
    bytes.write(key, at + OVERRIDE.key, OVERRIDE.length - 1);
    bytes.write(value, at + OVERRIDE.value, OVERRIDE.length - 1);
  }
  return bytes;
}
