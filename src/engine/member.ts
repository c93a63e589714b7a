import type { Answer, GenerateOptions, Piece } from "./answer.ts";
import type { Decoding } from "./decode/decoder.ts";

/** A session as those see it who run several of them together. */
export interface Member extends Decoding {
  /** Keeps other calls away while an answer is made, until what is returned is called. */
  occupy(): () => void;
  /** Runs `task` once this session is free, which it then is not until `task` ends. */
  exclusively<T>(task: () => Promise<T>): Promise<T>;
  /** The same for the parts of an answer. */
  locked<T>(task: () => Promise<T>): Promise<T>;
  /** Makes ready to answer from the logits at hand. */
  beginAnswer(options: GenerateOptions): Promise<Answer>;
  nextPiece(answer: Answer): Piece;
}

/**
 * Runs `task` once all members are free, which they then are not until it ends. Their queues are joined all at once,
 * so that calls run in their order and never wait for each other in a circle.
 */
export async function holding<M extends Member>(
  members: readonly M[],
  lock: "exclusively" | "locked",
  task: () => Promise<void>,
): Promise<void> {
  const [only, ...others] = members;
  if (only !== undefined && others.length === 0) return only[lock](task);
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  try {
    const arrivals = members.map((member) => {
      return new Promise<void>((arrive, fail) => {
        member[lock](() => (arrive(), released)).catch(fail);
      });
    });
    await Promise.all(arrivals);
    await task();
  } finally {
    release();
  }
}
