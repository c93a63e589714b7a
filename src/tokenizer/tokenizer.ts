import { PyramidKVError } from "../errors.ts";
import { Vocabulary } from "../ggml/vocabulary.ts";
import type { GgufFile } from "../gguf/file.ts";
import { readOptions, requireList, type Named } from "../options.ts";
import {
  CHAT_OPTIONS,
  ChatTemplate,
  requireChatOptions,
  requireMessages,
  type ChatMessage,
  type ChatOptions,
} from "./chat-template.ts";
import {
  checkVocabulary,
  PRE_TOKENIZER,
  requireNamed,
  type VocabularyFacts,
} from "./check-vocabulary.ts";
import type { EncodedText } from "./encoded-text.ts";
import { requireUnicode, type PromptText } from "./prompt-text.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import { TextEncoder } from "./text-encoder.ts";
import { renderTraced } from "./trace.ts";

export interface EncodeOptions {
  /** Adds the beginning-of-sequence token where the model wants one; there is never more than one. Defaults to `true`. */
  readonly addSpecial?: boolean;
  /**
   * Reads `<|im_start|>` and the like as the special tokens they name. Defaults to `true`; say `false` to text that
   * is not your own, or give it to `encodeChat`.
   */
  readonly parseSpecial?: boolean;
}

const ENCODE_OPTIONS: Named<EncodeOptions> = {
  addSpecial: { kind: "boolean" },
  parseSpecial: { kind: "boolean" },
};

/** Text to tokens and back, by libllama's own vocabulary. */
export class Tokenizer implements Disposable {
  readonly #vocabulary: Vocabulary;
  readonly #template: ChatTemplate | undefined;
  readonly #encoder: TextEncoder;
  readonly #pieces = new Map<number, Uint8Array>();

  private constructor(
    vocabulary: Vocabulary,
    template: ChatTemplate | undefined,
    private readonly facts: VocabularyFacts,
  ) {
    this.#vocabulary = vocabulary;
    this.#template = template;
    this.#encoder = new TextEncoder(vocabulary, facts.prefixesSpace);
  }

  /** The tokenizer of a GGUF file, or undefined where the file has no vocabulary. */
  static async load(file: GgufFile): Promise<Tokenizer | undefined> {
    const facts = checkVocabulary(file.metadata);
    if (facts === undefined) return undefined;
    const vocabulary = await loadVocabulary(file);
    try {
      requireNamed(facts, { bos: vocabulary.addsBos, eos: vocabulary.addsEos });
      const text = (token: number | undefined) =>
        token === undefined ? "" : vocabulary.text(token);
      const source = file.metadata.string("tokenizer.chat_template") ?? "";
      const template =
        source === "" ? undefined : new ChatTemplate(source, text(facts.bos), text(facts.eos));
      return new Tokenizer(vocabulary, template, facts);
    } catch (error) {
      vocabulary[Symbol.dispose]();
      throw error;
    }
  }

  /** What of the vocabulary is read with a default that may be wrong, in sentences. */
  get warnings(): readonly string[] {
    return this.facts.warnings;
  }

  get nVocab(): number {
    return this.#vocabulary.size;
  }

  /** Token ids of a text. Throws `USAGE` on what is not well-formed Unicode text. */
  encode(text: string, options: EncodeOptions = {}): Int32Array {
    requireUnicode(text);
    const read = readOptions("encode", ENCODE_OPTIONS, options);
    const { addSpecial = true, parseSpecial = true } = read;
    const tokens = this.#vocabulary.tokenize(Buffer.from(text), addSpecial, parseSpecial);
    if (!addSpecial) return tokens;
    const { beginning, skip } = this.#beginningOf(tokens);
    return Int32Array.from([...beginning, ...tokens.subarray(skip)]);
  }

  /** Tokens of a text that is not the user's own words to the model, such as a document: no special ones. */
  encodePlain(text: string): Int32Array {
    return this.encode(text, { addSpecial: false, parseSpecial: false });
  }

  /** The text of tokens; bytes that are no character become U+FFFD. Answers are streamed as the same text. */
  decode(tokens: ArrayLike<number>): string {
    requireList("tokens", tokens);
    const decoder = this.createDecoder();
    const bytes = Array.from(tokens, (token) => this.piece(token));
    return decoder.push(Buffer.concat(bytes)) + decoder.end();
  }

  /** Makes text of an answer's pieces, as they come. */
  createDecoder(): StreamDecoder {
    return new StreamDecoder(this.facts.prefixesSpace);
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
    // Where the file names no end, libllama takes a token of another model's for it.
    const isForeign = this.facts.eos === undefined && token === this.#vocabulary.eos;
    return !isForeign && this.#vocabulary.isEndOfGeneration(token);
  }

  /** The prompt text of a conversation, ending where the assistant's answer begins. */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    return this.renderChat(messages, options).text;
  }

  /**
   * Tokens of a chat prompt. Control tokens are the template's alone: what looks like one in a message or a tool is text.
   *
   * @throws `USAGE` on unknown roles, contents that are no text, and messages that the template refuses
   * @throws `UNSUPPORTED` where the model has no template, or one that is not understood
   */
  encodeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): Int32Array {
    return this.encodePrompt(this.renderChat(messages, options)).tokens;
  }

  /** The prompt text of a conversation, and which parts of it are the messages'. */
  renderChat(messages: readonly ChatMessage[], options: ChatOptions = {}): PromptText {
    const template = this.#template;
    if (template === undefined) {
      throw new PyramidKVError(
        "UNSUPPORTED",
        "the model has no chat template: use the raw prompt (--raw)",
      );
    }
    requireMessages(messages);
    const given = readOptions("encodeChat", CHAT_OPTIONS, options);
    requireChatOptions(given);
    const specials = (text: string) => this.#encoder.specials(text);
    const chat = {
      ...given,
      messages: messages.map((m) => ({ ...m, content: (m.content as string | null) ?? "" })),
    };
    return renderTraced((of) => template.render(of), chat, template, specials);
  }

  /** The tokens of a prompt, and where each lies in its text; with the beginning-of-sequence token, once, where the file asks for it. */
  encodePrompt(prompt: PromptText): EncodedText {
    const encoded = this.#encoder.encode(prompt);
    const { beginning, skip } = this.#beginningOf(encoded.tokens);
    return encoded.withBeginning(beginning, skip);
  }

  /** The tokens of what follows a prompt that was read already: no token of the sequence's beginning, no invented space. */
  encodeNext(prompt: PromptText): Int32Array {
    return this.#encoder.encode(prompt, true).tokens;
  }

  [Symbol.dispose](): void {
    this.#vocabulary[Symbol.dispose]();
  }

  /** The beginning that a sequence should have, where the template, the text and the tokenizer may all have written one. */
  #beginningOf(tokens: Int32Array): { beginning: number[]; skip: number } {
    const { bos } = this.facts;
    let skip = 0;
    while (bos !== undefined && tokens[skip] === bos) skip++;
    const addsSpecial = skip > 0 || this.#vocabulary.addsBos;
    return { beginning: bos !== undefined && addsSpecial ? [bos] : [], skip };
  }
}

/** Throws with the key where libllama does not know how the file's text is split. */
async function loadVocabulary({ path, metadata }: GgufFile): Promise<Vocabulary> {
  const vocabulary = await Vocabulary.load(path);
  if (vocabulary !== undefined) return vocabulary;
  const pre = metadata.string(PRE_TOKENIZER);
  using other =
    pre === undefined ? undefined : await Vocabulary.load(path, { [PRE_TOKENIZER]: "default" });
  throw other === undefined
    ? new PyramidKVError("BAD_FILE", "libllama could not read its vocabulary")
    : new PyramidKVError("UNSUPPORTED", `${PRE_TOKENIZER} "${pre}" is not known to this version`);
}
