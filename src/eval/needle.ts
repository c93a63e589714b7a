import type { Engine, SessionOptions } from "../engine/engine.ts";
import { needlePrompt, NUMBER_NEEDLE, type Needle } from "./needle-prompt.ts";

/** One way to run: a method and its size, with any other options. */
export type NeedleRun = SessionOptions & { readonly method: string };

export interface NeedleGrid {
  readonly haystack: string;
  /** Prompt lengths in tokens. */
  readonly lengths: readonly number[];
  /** Where the needle lies, 0 to 1. */
  readonly depths: readonly number[];
  readonly runs: readonly NeedleRun[];
  readonly needle?: Needle;
  readonly signal?: AbortSignal;
  readonly onCell?: (done: number, total: number) => void;
}

export interface NeedleCell {
  readonly run: NeedleRun;
  readonly length: number;
  readonly depth: number;
  readonly promptTokens: number;
  readonly answer: string;
  readonly right: boolean;
  /** Bytes held right after prefill. */
  readonly kvBytes: number;
}

const ANSWER_TOKENS = 24;

/**
 * Needle in a Haystack, question-aware: the question is part of the prompt when it is compressed. One
 * prefill serves all runs of a cell, so a grid costs about as much as the full cache alone.
 */
export async function runNeedle(engine: Engine, grid: NeedleGrid): Promise<NeedleCell[]> {
  const needle = grid.needle ?? NUMBER_NEEDLE;
  const cells: NeedleCell[] = [];
  const total = grid.lengths.length * grid.depths.length;
  let done = 0;
  for (const length of grid.lengths) {
    for (const depth of grid.depths) {
      const prompt = needlePrompt(engine.tokenizer, grid.haystack, needle, length, depth);
      const sessions = grid.runs.map((run) => engine.createSession(run));
      try {
        const options = grid.signal === undefined ? {} : { signal: grid.signal };
        await engine.prefillTogether(sessions, prompt, options);
        for (const [i, session] of sessions.entries()) {
          const kvBytes = session.cache.bytes;
          let answer = "";
          for await (const { text } of session.generate({ maxTokens: ANSWER_TOKENS, ...options })) {
            answer += text;
          }
          const run = grid.runs[i] as NeedleRun;
          const right = answer.includes(needle.answer);
          cells.push({ run, length, depth, promptTokens: prompt.length, answer, right, kvBytes });
        }
      } finally {
        for (const session of sessions) session[Symbol.dispose]();
      }
      grid.onCell?.(++done, total);
    }
  }
  return cells;
}
