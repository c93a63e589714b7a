import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { StopStrings } from "../tokenizer/stop-strings.ts";
import { StreamDecoder } from "../tokenizer/stream-decoder.ts";
import type { Sampler, SamplingOptions } from "./sampler.ts";

export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to generate. Defaults to 256, or to what the context still has room for. */
  readonly maxTokens?: number;
  /** Texts at which generation stops; they are not part of the output. */
  readonly stop?: readonly string[];
  /** Goes on when the model ends its answer, as benchmarks want. Defaults to `false`. */
  readonly ignoreEndOfText?: boolean;
  readonly signal?: AbortSignal;
}

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
  readonly #decoder = new StreamDecoder();
  readonly #stops: StopStrings;
  #count = 0;

  constructor(private readonly parts: AnswerParts) {
    this.#stops = new StopStrings(parts.stop);
  }

  /** Whether it has all the tokens that were asked for. */
  get ended(): boolean {
    return this.#count >= this.parts.maxTokens;
  }

  /** Samples from the logits after the newest token. Nothing follows a piece with a finish reason. */
  next(logits: Float32Array): Sampled {
    const { tokenizer, sampler, ignoreEndOfText, maxTokens } = this.parts;
    const token = sampler.sample(logits);
    if (!ignoreEndOfText && tokenizer?.isEndOfGeneration(token) === true) {
      return { piece: { text: this.#rest(), token, finishReason: "stop" }, belongs: false };
    }
    const decoded = tokenizer === undefined ? "" : this.#decoder.push(tokenizer.piece(token));
    const { text, stopped } = this.#stops.push(decoded);
    if (stopped) return { piece: { text, token, finishReason: "stop" }, belongs: true };
    if (++this.#count < maxTokens) return { piece: { text, token }, belongs: true };
    return { piece: { text: text + this.#rest(), token, finishReason: "length" }, belongs: true };
  }

  [Symbol.dispose](): void {
    this.parts.sampler[Symbol.dispose]();
  }

  #rest(): string {
    return this.#stops.push(this.#decoder.end()).text + this.#stops.end();
  }
}
