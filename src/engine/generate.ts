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

export interface TokenLoop {
  readonly tokenizer: Tokenizer | undefined;
  readonly sampler: Sampler;
  readonly maxTokens: number;
  readonly stop: readonly string[];
  readonly ignoreEndOfText: boolean;
  /** Logits after the newest token. */
  logits(): Float32Array;
  /** Appends a token to the cache; the loop asks for it only when another one is to follow. */
  decode(token: number): Promise<void>;
  /** Told of a token that is part of the answer but not yet in the cache; `decode` puts it there. */
  pending(token: number): void;
}

/**
 * Samples token after token. Text is given out as soon as it is certain: never half a character, and
 * nothing that could still become a stop string.
 */
export async function* generateTokens(loop: TokenLoop): AsyncGenerator<Piece, void, undefined> {
  const { tokenizer, sampler } = loop;
  const decoder = new StreamDecoder();
  const stops = new StopStrings(loop.stop);
  for (let i = 0; i < loop.maxTokens; i++) {
    const token = sampler.sample(loop.logits());
    if (!loop.ignoreEndOfText && tokenizer?.isEndOfGeneration(token) === true) {
      yield { text: stops.push(decoder.end()).text + stops.end(), token, finishReason: "stop" };
      return;
    }
    // From here on the token is part of the answer, even if the caller stops listening.
    loop.pending(token);
    const decoded = tokenizer === undefined ? "" : decoder.push(tokenizer.piece(token));
    const { text, stopped } = stops.push(decoded);
    if (stopped) {
      yield { text, token, finishReason: "stop" };
      return;
    }
    if (i === loop.maxTokens - 1) {
      const rest = stops.push(decoder.end()).text + stops.end();
      yield { text: text + rest, token, finishReason: "length" };
      return;
    }
    yield { text, token };
    await loop.decode(token);
  }
}
