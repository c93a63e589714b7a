import { PyramidKVError } from "../errors.ts";
import { requireMessages, type ChatMessage } from "../tokenizer/chat-template.ts";
import { textFrom, type PromptText } from "../tokenizer/prompt-text.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { GenerateOptions, Piece } from "./answer.ts";
import type { PrefillOptions, Session } from "./session.ts";

export interface SendOptions extends GenerateOptions {
  readonly onProgress?: PrefillOptions["onProgress"];
}

interface Seen {
  readonly prompt: string;
  readonly answer: string;
}

/**
 * A chat on one session: each turn adds only its new text to the compressed cache, which goes on from
 * turn to turn.
 */
export class Conversation {
  readonly #messages: ChatMessage[] = [];
  /** The rendered text that the cache stands for, and the answer to it. */
  #seen: Seen | undefined;
  #isStale = false;

  constructor(
    private readonly session: Session,
    private readonly tokenizer: Tokenizer,
    system?: string,
  ) {
    if (system !== undefined) this.#messages.push({ role: "system", content: system });
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * Answers a message piece by piece, with fewer tokens where the context ends. What came before an abort stays in the conversation; a message
   * that could not be prefilled does not.
   */
  async *send(content: string, options: SendOptions = {}): AsyncGenerator<Piece, void, undefined> {
    if (content === "") throw new PyramidKVError("USAGE", "the message is empty");
    const messages: ChatMessage[] = [...this.#messages, { role: "user", content }];
    const prompt = this.tokenizer.renderChat(messages);
    const tokens = await this.#newTokens(prompt);
    const { onProgress, ...generation } = options;
    const { signal } = generation;
    await this.session.prefill(tokens, { signal, onProgress });
    const { room } = this.session;
    const wanted =
      generation.maxTokens === undefined ? {} : { maxTokens: Math.min(generation.maxTokens, room) };
    let answer = "";
    const answered: number[] = [];
    try {
      for await (const piece of this.session.generate({ ...generation, ...wanted })) {
        answer += piece.text;
        const isEnd =
          piece.finishReason === "stop" && this.tokenizer.isEndOfGeneration(piece.token);
        if (!isEnd) answered.push(piece.token);
        yield piece;
      }
    } finally {
      this.#messages.splice(0, Infinity, ...messages, { role: "assistant", content: answer });
      this.#seen = { prompt: prompt.text, answer };
      // A stop string, or an answer that was stopped within a character, leaves tokens without text in the cache.
      this.#isStale = this.tokenizer.decode(answered) !== answer;
    }
  }

  /** What of a prompt the cache does not hold yet. */
  async #newTokens(prompt: PromptText): Promise<Int32Array> {
    const seen = this.#isStale ? undefined : placeAfter(prompt.text, this.#seen);
    if (seen !== undefined) return this.tokenizer.encodeNext(textFrom(prompt, seen));
    await this.forgetCache();
    return this.tokenizer.encodePrompt(prompt).tokens;
  }

  /** Takes over the messages of another conversation; they are prefilled with the next one of this. */
  restore(messages: readonly ChatMessage[]): void {
    requireMessages(messages);
    this.#messages.splice(0, Infinity, ...messages);
    this.#seen = undefined;
  }

  /** Takes the last message and its answer back, and returns the message; undefined where nothing was said yet. */
  undo(): string | undefined {
    const at = this.#messages.findLastIndex(({ role }) => role === "user");
    if (at < 0) return undefined;
    const [taken] = this.#messages.splice(at);
    this.#seen = undefined;
    return taken?.content;
  }

  /** Frees the cache; the next message is answered after prefilling the whole conversation again. */
  async forgetCache(): Promise<void> {
    await this.session.reset();
    this.#seen = undefined;
    this.#isStale = false;
  }
}

/**
 * Where a prompt goes on behind what was seen of the conversation; undefined where its template renders that
 * differently by now. Templates may put blanks before an answer, which the model wrote or the tokenizer adds itself.
 */
function placeAfter(text: string, seen: Seen | undefined): number | undefined {
  if (seen === undefined || !text.startsWith(seen.prompt)) return undefined;
  const rest = text.slice(seen.prompt.length);
  const blanks = rest.length - rest.trimStart().length;
  for (const skipped of [0, blanks]) {
    if (rest.startsWith(seen.answer, skipped)) {
      return seen.prompt.length + skipped + seen.answer.length;
    }
  }
  return undefined;
}
