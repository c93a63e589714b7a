import pLimit from "p-limit";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import type { Executor } from "../ggml/executor.ts";
import { NativeOwner } from "../ggml/owner.ts";
import type { Model } from "../models/model.ts";
import { DecodeGraph, type DecodeStep } from "./decode/decode-graph.ts";
import type { Answer, FinishReason, GenerateOptions, Piece } from "./answer.ts";
import type { PrefillOptions, Session } from "./session.ts";

/** A piece of one of several answers. */
export interface PieceOf extends Omit<Piece, "finishReason"> {
  readonly session: Session;
  /** Set on the last piece of an answer; `error` where this one could not go on, while the others do. */
  readonly finishReason?: FinishReason | "error";
  /** Why it could not go on; `token` is −1 then. */
  readonly error?: PyramidKVError;
}

/** An answer's next piece; what is wrong with its logits is no other answer's matter. */
function pieceOf(session: Session, answer: Answer): PieceOf {
  try {
    return { ...session.nextPiece(answer), session };
  } catch (error) {
    if (!(error instanceof PyramidKVError) || error.code !== "NATIVE") throw error;
    return { session, text: "", token: -1, finishReason: "error", error };
  }
}

/** One prefill for several sessions, which must be new: each compresses the same layers in its own way. */
export function prefillTogether(
  sessions: readonly Session[],
  tokens: ArrayLike<number>,
  options: PrefillOptions = {},
): Promise<void> {
  const [first] = sessions;
  if (first === undefined) return Promise.resolve();
  return holding(sessions, exclusively, () => {
    if (sessions.length > 1 && sessions.some((s) => s.nPast > 0)) {
      throw new PyramidKVError("USAGE", "only new sessions can share a prefill");
    }
    return first.runPrefill(sessions, tokens, options);
  });
}

/** Decodes several sessions in one graph, which is kept for the next step of the same ones. */
export class DecodeBatch extends NativeOwner {
  #graph: DecodeGraph | undefined;
  /** One step uses the graph at a time. */
  readonly #queue = pLimit(1);

  constructor(
    private readonly model: Model,
    private readonly executor: Executor,
  ) {
    super();
  }

  /** One step of all sessions, a token each. */
  decode(sessions: readonly Session[], tokens: readonly number[]): Promise<void> {
    return holding(sessions, exclusively, async () => {
      for (const session of sessions) await session.decodePending();
      await this.#queue(() => this.#step(sessions, tokens));
    });
  }

  /** Answers of all sessions, whose pieces come as they are made; those that ended leave the batch. */
  async *generate(
    sessions: readonly Session[],
    options: GenerateOptions,
  ): AsyncGenerator<PieceOf, void, undefined> {
    const frees: (() => void)[] = [];
    const answers: { session: Session; answer: Answer }[] = [];
    try {
      for (const session of sessions) frees.push(session.occupy());
      for (const session of sessions) {
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
        await holding(active, locked, () => this.#queue(() => this.#step(active, tokens)));
      }
    } finally {
      for (const { answer } of answers) answer[Symbol.dispose]();
      for (const free of frees) free();
    }
  }

  /** All sessions are locked. */
  async #step(sessions: readonly Session[], tokens: readonly number[]): Promise<void> {
    this.assertAlive();
    const started = performance.now();
    const steps: DecodeStep[] = [];
    for (const [i, session] of sessions.entries()) {
      steps.push(await session.beginStep(tokens[i] as number));
    }
    const sequences = sessions.map((s) => s.sequence);
    if (this.#graph?.fits(sequences) !== true) {
      this.#graph?.[Symbol.dispose]();
      this.#graph = undefined;
      this.#graph = new DecodeGraph(this.model, this.executor, sequences);
    }
    const computeMs = await this.#graph.step(steps);
    // All have their token, whatever happens to one of them from here on.
    for (const session of sessions) session.stepped();
    for (const session of sessions) await session.endStep(started, computeMs);
  }

  protected release(): void {
    this.#graph?.[Symbol.dispose]();
  }
}

/**
 * Runs `task` once all sessions are free, which they then are not until it ends. Their queues are joined all at once,
 * so that calls run in their order and never wait for each other in a circle.
 */
async function holding(
  sessions: readonly Session[],
  lock: (session: Session, task: () => Promise<void>) => Promise<void>,
  task: () => Promise<void>,
): Promise<void> {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  try {
    const arrivals = sessions.map((session) => {
      return new Promise<void>((arrive, fail) => {
        lock(session, () => (arrive(), released)).catch(fail);
      });
    });
    await Promise.all(arrivals);
    await task();
  } finally {
    release();
  }
}

const exclusively = (session: Session, task: () => Promise<void>) => session.exclusively(task);
const locked = (session: Session, task: () => Promise<void>) => session.locked(task);
