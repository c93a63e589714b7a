import { PyramidKVError } from "../errors.ts";
import { Vocabulary } from "../ggml/vocabulary.ts";
import type { GgufFile } from "../gguf/file.ts";
import { ChatTemplate, type ChatMessage } from "./chat-template.ts";
import { checkVocabulary } from "./check-vocabulary.ts";

export interface EncodeOptions {
  /** Adds the beginning-of-sequence token where the model wants one. Defaults to `true`. */
  readonly addSpecial?: boolean;
  /** Reads `<|im_start|>` and the like as the special tokens they name. Defaults to `true`. */
  readonly parseSpecial?: boolean;
}

/** Text to tokens and back, by libllama's own vocabulary. */
export class Tokenizer implements Disposable {
  readonly #vocabulary: Vocabulary;
  readonly #template: ChatTemplate | undefined;
  readonly #pieces = new Map<number, Uint8Array>();

  private constructor(vocabulary: Vocabulary, template: ChatTemplate | undefined) {
    this.#vocabulary = vocabulary;
    this.#template = template;
  }

  /** The tokenizer of a GGUF file, or undefined where the file has no vocabulary. */
  static async load(file: GgufFile): Promise<Tokenizer | undefined> {
    if (!checkVocabulary(file.metadata)) return undefined;
    const vocabulary = await Vocabulary.load(file.path);
    const source = file.metadata.string("tokenizer.chat_template");
    const text = (token: number) => (token < 0 ? "" : vocabulary.text(token));
    const template =
      source === undefined
        ? undefined
        : new ChatTemplate(source, text(vocabulary.bos), text(vocabulary.eos));
    return new Tokenizer(vocabulary, template);
  }

  get nVocab(): number {
    return this.#vocabulary.size;
  }

  /** Token ids of a text. Throws `USAGE` on text that is not well-formed Unicode. */
  encode(text: string, { addSpecial = true, parseSpecial = true }: EncodeOptions = {}): Int32Array {
    if (!text.isWellFormed()) {
      throw new PyramidKVError(
        "USAGE",
        "the text holds half of a surrogate pair: not valid Unicode",
      );
    }
    return this.#vocabulary.tokenize(Buffer.from(text), addSpecial, parseSpecial);
  }

  /** The text of tokens; bytes that are no character become U+FFFD. */
  decode(tokens: ArrayLike<number>): string {
    const bytes = Array.from(tokens, (token) => this.piece(token));
    return Buffer.concat(bytes).toString("utf8");
  }

  /** The bytes of one token: possibly a part of a character. */
  piece(token: number): Uint8Array {
    if (!Number.isInteger(token) || token < 0 || token >= this.nVocab) {
      throw new PyramidKVError("USAGE", `token ${token} is not in 0 to ${this.nVocab - 1}`);
    }
    let bytes = this.#pieces.get(token);
    if (bytes === undefined) {
      bytes = this.#vocabulary.piece(token);
      this.#pieces.set(token, bytes);
    }
    return bytes;
  }

  isEndOfGeneration(token: number): boolean {
    return this.#vocabulary.isEndOfGeneration(token);
  }

  /** The prompt text of a conversation, ending where the assistant's answer begins. */
  applyChatTemplate(messages: readonly ChatMessage[]): string {
    if (this.#template === undefined) {
      throw new PyramidKVError(
        "UNSUPPORTED",
        "the model has no chat template: use the raw prompt (--raw)",
      );
    }
    return this.#template.render(messages);
  }

  /** Tokens of a chat prompt. The template writes the beginning-of-sequence token itself, if it wants one. */
  encodeChat(messages: readonly ChatMessage[]): Int32Array {
    return this.encode(this.applyChatTemplate(messages), { addSpecial: false });
  }

  [Symbol.dispose](): void {
    this.#vocabulary[Symbol.dispose]();
  }
}
