import type { Probe } from "../../compression/method.ts";
import { PyramidKVError } from "../../errors.ts";
import { untrustedText } from "../../tokenizer/prompt-text.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";

/** Asks for all that a question could ask for; the opening of an answer makes the last queries look for it. */
const FACTS = `

List every name, number, code and fact that is stated in the text above.

Here are all of them:
1.`;
const REPLAY = "\n\nRepeat the previous text exactly:\n\n";
/** Tokens of the piece before that a replayed piece repeats, to say where it goes on. */
const OVERLAP = 8;
const LEAST_PIECE = 32;

export interface ProbeInput {
  readonly prompt: Int32Array;
  readonly tokenizer: Tokenizer | undefined;
  /** Tokens of the largest chunk, which a piece is. */
  readonly chunkTokens: number;
  /** Tokens that the context leaves behind the prompt. */
  readonly room: number;
}

/** The pieces to read after the prompt, each on its own. Throws where there is no room or no vocabulary. */
export function probePieces(kind: Probe, input: ProbeInput): Int32Array[] {
  const { tokenizer, room, chunkTokens } = input;
  const text = kind === "facts" ? FACTS : REPLAY;
  const instruction = tokenizer?.encodeNext(untrustedText(text)) ?? new Int32Array(0);
  const least = instruction.length + LEAST_PIECE;
  if (room < least) {
    throw new PyramidKVError(
      "CONTEXT_FULL",
      `the context has room for ${room} tokens behind the prompt, the probe that is read there has ${least}; shorten the prompt`,
    );
  }
  const longest = Math.min(room, Math.max(chunkTokens, least));
  if (kind === "replay") return replayed(input.prompt, instruction, longest);
  if (instruction.length === 0) {
    throw new PyramidKVError("UNSUPPORTED", "a probe for facts needs a model with a vocabulary");
  }
  return [instruction];
}

function replayed(prompt: Int32Array, instruction: Int32Array, longest: number): Int32Array[] {
  const size = longest - instruction.length - OVERLAP;
  const pieces: Int32Array[] = [];
  for (let at = 0; at < prompt.length; at += size) {
    const body = prompt.subarray(Math.max(0, at - OVERLAP), at + size);
    const piece = new Int32Array(instruction.length + body.length);
    piece.set(instruction);
    piece.set(body, instruction.length);
    pieces.push(piece);
  }
  return pieces;
}
