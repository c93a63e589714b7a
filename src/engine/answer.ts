import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { StopStrings } from "../tokenizer/stop-strings.ts";
import type { StreamDecoder } from "../tokenizer/stream-decoder.ts";
import type { Sampler, SamplingOptions } from "./sampler.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to generate. Defaults to 256, or to what the context still has room for. */
  readonly maxTokens?: number | undefined;
  /** Text, or texts, at which generation stops: at the one that begins first. It is not part of the output. */
  readonly stop?: string | readonly string[] | undefined;
  /** Tokens before which the answer may not end, by itself or at a stop string. Defaults to 0. */
  readonly minTokens?: number | undefined;
  /** Goes on when the model ends its answer, as benchmarks want. Defaults to `false`. */
  readonly ignoreEndOfText?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** A logit that no other is below. */
const LOWEST = -3e38;

export type FinishReason = "stop" | "length";

/** A piece of the answer: the text that became complete with this token, often a word. */
export interface Piece {
  readonly text: string;
  readonly token: number;
  /** Set on the last piece. */
  readonly finishReason?: FinishReason;
}

/** What an answer is made with. */
export interface AnswerParts {
  readonly tokenizer: Tokenizer | undefined;
  /** Taken over. */
  readonly sampler: Sampler;
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly stop: readonly string[];
  readonly ignoreEndOfText: boolean;
}

/** A sampled token, and whether it is part of the text: what ends an answer by itself is not. */
export interface Sampled {
  readonly piece: Piece;
  readonly belongs: boolean;
}

/**
 * An answer, token after token. Text is given out as soon as it is certain: never half a character, and nothing that
 * could still become a stop string.
 */
export class Answer implements Disposable {
  readonly #decoder: StreamDecoder | undefined;
  readonly #stops: StopStrings;
  #count = 0;

  constructor(private readonly parts: AnswerParts) {
    this.#decoder = parts.tokenizer?.createDecoder();
    this.#stops = new StopStrings(parts.stop);
  }

  /** Whether it has all the tokens that were asked for. */
  get ended(): boolean {
    return this.#count >= this.parts.maxTokens;
  }

  /**
   * Samples from the logits after the newest token. Nothing follows a piece with a finish reason.
   *
   * @throws `NATIVE` on logits that are no finite numbers
   */
  next(logits: Float32Array): Sampled {
    const token = this.#sample(logits);
    if (this.#ends(token)) {
      return { piece: { text: this.#rest().text, token, finishReason: "stop" }, belongs: false };
    }
    const { text, stopped } = this.#stops.push(this.#textOf(token));
    if (stopped) return { piece: { text, token, finishReason: "stop" }, belongs: true };
    if (++this.#count < this.parts.maxTokens) return { piece: { text, token }, belongs: true };
    const rest = this.#rest();
    const finishReason = rest.stopped ? "stop" : "length";
    return { piece: { text: text + rest.text, token, finishReason }, belongs: true };
  }

  [Symbol.dispose](): void {
    this.parts.sampler[Symbol.dispose]();
  }

  /** A token; as long as the answer may not end, one that does not end it. */
  #sample(logits: Float32Array): number {
    const { sampler, minTokens } = this.parts;
    if (this.#count >= minTokens) return sampler.sample(logits);
    const allowed = Float32Array.from(logits);
    for (;;) {
      const token = sampler.sample(allowed);
      const text = this.parts.tokenizer?.decode([token]) ?? "";
      if (!this.#ends(token) && !this.#stops.wouldStop(text)) return token;
      allowed[token] = LOWEST;
    }
  }

  #ends(token: number): boolean {
    const { tokenizer, ignoreEndOfText } = this.parts;
    return !ignoreEndOfText && tokenizer?.isEndOfGeneration(token) === true;
  }

  #textOf(token: number): string {
    const { tokenizer } = this.parts;
    return tokenizer === undefined ? "" : (this.#decoder?.push(tokenizer.piece(token)) ?? "");
  }

  #rest(): { text: string; stopped: boolean } {
    const last = this.#stops.push(this.#decoder?.end() ?? "");
    if (last.stopped) return last;
    const { text, stopped } = this.#stops.end();
    return { text: last.text + text, stopped };
  }
}
