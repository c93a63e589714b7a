import { describeValue, PyramidKVError, requireInteger } from "../errors.ts";
import type { GenerateOptions } from "./answer.ts";

/** Throws `USAGE` where there are no tokens or some are not of the vocabulary. */
export function checkTokens(tokens: ArrayLike<number>, nVocab: number): void {
  if (tokens.length === 0) throw new PyramidKVError("USAGE", "the prompt is empty");
  for (let i = 0; i < tokens.length; i++) requireInteger("token", tokens[i], 0, nVocab - 1);
}

/** The stop strings of an answer; throws `USAGE` on what is no text, or empty. */
export function stopsOf(given: GenerateOptions["stop"] = []): readonly string[] {
  const stops: readonly unknown[] = Array.isArray(given) ? given : [given];
  const wrong = stops.find((stop) => typeof stop !== "string");
  if (wrong !== undefined) {
    throw new PyramidKVError("USAGE", `a stop string must be text, got ${describeValue(wrong)}`);
  }
  if (stops.includes("")) throw new PyramidKVError("USAGE", "a stop string must not be empty");
  return stops as readonly string[];
}

/** Says that tokens do not fit into the context, and what to do. */
export function contextFull(present: number, more: number, nCtx: number): PyramidKVError {
  const wanted = more > 0 ? `${present} tokens and ${more} to generate` : `${present} tokens`;
  const room = nCtx - present;
  const advice =
    more > 0 && room > 0
      ? `generate ${room} or fewer, or shorten the prompt`
      : "shorten the prompt";
  return new PyramidKVError(
    "CONTEXT_FULL",
    `${wanted} exceed the model's context of ${nCtx}; ${advice}`,
  );
}
