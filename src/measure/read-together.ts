import type { Engine } from "../engine/engine.ts";
import { sessionCompression, type SessionOptions } from "../engine/session-options.ts";
import type { PrefillOptions, Session } from "../engine/session.ts";
import { throwIfAborted } from "../errors.ts";

/** Tokens that come after the prompt are never compressed with it again. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/** Ways to compress in groups that one prefill can serve: a probe after the prompt, or layers that carry tokens on, change it. */
export function sharingPrefill<T extends { readonly options: SessionOptions }>(
  engine: Engine,
  ways: readonly T[],
): T[][] {
  const groups = new Map<string, T[]>();
  for (const [i, way] of ways.entries()) {
    const { probe, carries } = sessionCompression(way.options, engine.profile).recipe;
    // Which tokens are carried depends on the method's options, and on whether its size cuts this prompt at all.
    const key = carries === undefined ? `probe ${probe ?? ""}` : `way ${i}`;
    groups.set(key, [...(groups.get(key) ?? []), way]);
  }
  return [...groups.values()];
}

export interface ReadOptions extends PrefillOptions {
  /** Sessions of each way. Defaults to 1. */
  readonly n?: number;
}

/** A way's sessions, which have read the prompt. */
export interface Reader<T> {
  readonly way: T;
  readonly sessions: readonly Session[];
  /** Milliseconds of the prefill, which several ways may share. */
  readonly prefillMs: number;
}

/**
 * Reads a prompt in several ways, those together whose methods can share a prefill, and runs a task with each of them in
 * their order. Sessions are freed as soon as their task is done.
 */
export async function readTogether<T extends { readonly options: SessionOptions }>(
  engine: Engine,
  prompt: ArrayLike<number>,
  ways: readonly T[],
  { n = 1, signal, onProgress }: ReadOptions,
  task: (reader: Reader<T>) => void | Promise<void>,
): Promise<void> {
  const groups = sharingPrefill(engine, ways);
  for (const [i, group] of groups.entries()) {
    const opened: { way: T; sessions: Session[] }[] = [];
    try {
      for (const way of group) {
        const sessions: Session[] = [];
        opened.push({ way, sessions });
        for (let s = 0; s < n; s++) sessions.push(openSession(engine, way.options));
      }
      const started = performance.now();
      const sessions = opened.flatMap(({ sessions }) => sessions);
      await engine.prefillTogether(sessions, prompt, {
        signal,
        onProgress: (share) => onProgress?.((i + share) / groups.length),
      });
      const prefillMs = performance.now() - started;
      for (const { way, sessions } of opened) {
        throwIfAborted(signal);
        await task({ way, sessions, prefillMs });
        for (const session of sessions) session[Symbol.dispose]();
      }
    } finally {
      for (const { sessions } of opened) for (const session of sessions) session[Symbol.dispose]();
    }
  }
}

export function openSession(engine: Engine, options: SessionOptions): Session {
  return engine.createSession({ ...options, kvLimit: NO_LIMIT });
}

export interface AnswerLimits {
  readonly maxTokens: number;
  readonly minTokens?: number | undefined;
  readonly stop?: readonly string[] | undefined;
}

/** A greedy answer's text. Throws `CONTEXT_FULL` where the context has no room for the longest. */
export async function answerText(
  session: Session,
  { maxTokens, minTokens, stop }: AnswerLimits,
  signal?: AbortSignal,
): Promise<string> {
  let text = "";
  for await (const piece of session.generate({ maxTokens, minTokens, stop, signal })) {
    text += piece.text;
  }
  return text;
}
