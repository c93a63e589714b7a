import { PyramidKVError, throwIfAborted } from "../errors.ts";
import type { Answer, FinishReason, GenerateOptions, Piece } from "./answer.ts";
import type { Decoder } from "./decode/decoder.ts";
import { holding, type Member } from "./member.ts";

/** A piece of one of several answers. */
export interface PieceFrom<M> extends Omit<Piece, "finishReason"> {
  readonly session: M;
  /** Set on the last piece of an answer; `error` where this one could not go on, while the others do. */
  readonly finishReason?: FinishReason | "error";
  /** Why it could not go on; `token` is −1 then. */
  readonly error?: PyramidKVError;
}

/**
 * Answers of all members, which decode together; their pieces come as they are made, and those that ended leave. One
 * member is the case of a single answer.
 */
export async function* answersOf<M extends Member>(
  decoder: Decoder,
  members: readonly M[],
  options: GenerateOptions,
): AsyncGenerator<PieceFrom<M>, void, undefined> {
  const frees: (() => void)[] = [];
  const answers: { session: M; answer: Answer }[] = [];
  try {
    for (const session of members) frees.push(session.occupy());
    for (const session of members) {
      const answer = await session.locked(() => session.beginAnswer(options));
      answers.push({ session, answer });
    }
    let going = answers.filter(({ answer }) => !answer.ended);
    while (going.length > 0) {
      const tokens: number[] = [];
      const next: typeof going = [];
      for (const one of going) {
        const piece = pieceOf(one.session, one.answer);
        yield piece;
        if (piece.finishReason !== undefined) continue;
        tokens.push(piece.token);
        next.push(one);
      }
      throwIfAborted(options.signal);
      going = next;
      if (going.length === 0) return;
      const active = going.map(({ session }) => session);
      await holding(active, "locked", () => decoder.step(active, tokens));
    }
  } finally {
    for (const { answer } of answers) answer[Symbol.dispose]();
    for (const free of frees) free();
  }
}

/** An answer's next piece; what is wrong with its logits is no other answer's matter. */
function pieceOf<M extends Member>(session: M, answer: Answer): PieceFrom<M> {
  try {
    return { ...session.nextPiece(answer), session };
  } catch (error) {
    if (!(error instanceof PyramidKVError) || error.code !== "NATIVE") throw error;
    return { session, text: "", token: -1, finishReason: "error", error };
  }
}
