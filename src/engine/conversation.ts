import { PyramidKVError } from "../errors.ts";
import type { ChatMessage } from "../tokenizer/chat-template.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { GenerateOptions, Piece } from "./generate.ts";
import type { PrefillOptions, Session } from "./session.ts";

export interface SendOptions extends GenerateOptions {
  readonly onProgress?: PrefillOptions["onProgress"];
}

/**
 * A chat on one session: each turn adds only its new text to the compressed cache, which goes on from
 * turn to turn.
 */
export class Conversation {
  readonly #messages: ChatMessage[] = [];
  /** The rendered text that the cache stands for. */
  #seen = "";
  #stale = false;

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
    const text = this.tokenizer.applyChatTemplate(messages);
    // A template may render old turns differently (e.g. trim them), and a stop string leaves tokens in
    // the cache that are not in the text: then the cache starts anew.
    if (this.#stale || !text.startsWith(this.#seen)) await this.forgetCache();
    const tokens = this.tokenizer.encode(text.slice(this.#seen.length), { addSpecial: false });
    const { signal, onProgress } = options;
    await this.session.prefill(tokens, {
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    const room = this.session.contextSize - this.session.nPast;
    const wanted =
      options.maxTokens === undefined ? {} : { maxTokens: Math.min(options.maxTokens, room) };
    let answer = "";
    try {
      for await (const piece of this.session.generate({ ...options, ...wanted })) {
        answer += piece.text;
        this.#stale =
          piece.finishReason === "stop" && !this.tokenizer.isEndOfGeneration(piece.token);
        yield piece;
      }
    } finally {
      this.#messages.splice(0, Infinity, ...messages, { role: "assistant", content: answer });
      this.#seen = text + answer;
    }
  }

  /** Takes over the messages of another conversation; they are prefilled with the next one. */
  restore(messages: readonly ChatMessage[]): void {
    this.#messages.splice(0, Infinity, ...messages);
  }

  /** Frees the cache; the next message is answered after prefilling the whole conversation again. */
  async forgetCache(): Promise<void> {
    await this.session.reset();
    this.#seen = "";
    this.#stale = false;
  }
}
