import { nearness, type Nearness } from "../measure/divergence.ts";
import type { Engine } from "../engine/engine.ts";
import { untrustedText } from "../tokenizer/prompt-text.ts";
import { argmax } from "../engine/sampler.ts";
import type { Session } from "../engine/session.ts";
import { throwIfAborted } from "../errors.ts";
import { quarters } from "../mean.ts";
import { needleNumber } from "./needle/facts.ts";
import { needleText } from "./needle/prompt.ts";
import type { Way } from "./run/run.ts";
import { characterBefore, chatParts, joined } from "./run/sample.ts";
import { answerText, openSession, sharingPrefill } from "../measure/read-together.ts";

export interface LongOptions {
  readonly haystack: string;
  /** Texts, each with a needle of its own. */
  readonly texts: number;
  /** Tokens of a prompt, and of what is written after it. */
  readonly length: number;
  readonly tokens: number;
  /** Ways that keep their size while decoding, `every:64(snapkv)` and the like; all of them share a prefill. */
  readonly ways: readonly Way[];
  readonly signal?: AbortSignal | undefined;
  /** Tokens written, of how many. */
  readonly onStep?: (done: number, total: number) => void;
}

/** One way over all texts. */
export interface LongRow {
  readonly way: Way;
  /** Mean KL to the full cache along its own output, in nats, and share of equal favourites, by quarter, of each text. */
  readonly kl: number[][];
  readonly top1: number[][];
  /** Share of the four-token runs of its own output that occurred before. */
  readonly repeated: number[];
  /** Whether the needle, asked for only after all that was written, is found. */
  readonly found: boolean[];
  /** Bytes held at the end, the most of all texts. */
  kvBytes: number;
}

const RUN = 4;
const ANSWER_TOKENS = 16;
const REQUEST = "Write a long and detailed essay about the text above.";

/**
 * Thousands of tokens from a cache of fixed size: how near it stays to the full cache, whether it falls into loops, and
 * whether a fact of the prompt is still there when it is asked for at the very end. The first row is the full cache.
 */
export async function runLong(engine: Engine, o: LongOptions): Promise<LongRow[]> {
  const ways: readonly Way[] = [{ method: "full" }, ...o.ways];
  const rows = ways.map((way): LongRow => {
    return { way, kl: [], top1: [], repeated: [], found: [], kvBytes: 0 };
  });
  for (let i = 0; i < o.texts; i++) {
    const step = (done: number) => o.onStep?.(i * o.tokens + done, o.texts * o.tokens);
    await writeOnce(engine, o, i, rows, step);
  }
  return rows;
}

async function writeOnce(
  engine: Engine,
  o: LongOptions,
  i: number,
  rows: readonly LongRow[],
  onStep: (done: number) => void,
): Promise<void> {
  const needle = needleNumber(i);
  const start = characterBefore(o.haystack, (i / o.texts) * o.haystack.length);
  const haystack = o.haystack.slice(start) + o.haystack.slice(0, start);
  const request = { ...needle, question: REQUEST };
  const text = needleText(engine.tokenizer, haystack, request, o.length, 0.5);
  // One of each follows the full cache's output, the other one writes its own.
  const [followers, writers]: [Session[], Session[]] = [[], []];
  try {
    for (const { way } of rows) {
      for (const sessions of [followers, writers]) sessions.push(openSession(engine, way));
    }
    const [full] = followers as [Session];
    const options = o.signal === undefined ? {} : { signal: o.signal };
    const prompt = joined(chatParts(engine.tokenizer, text, REQUEST));
    const ways = rows.map(({ way }, r) => ({ options: way, r }));
    for (const group of sharingPrefill(engine, ways)) {
      const sessions = group.flatMap(({ r }) => [followers[r], writers[r]] as [Session, Session]);
      await engine.prefillTogether(sessions, prompt, options);
    }
    const steps = rows.map((): Nearness[] => []);
    const written = rows.map((): number[] => []);
    for (let step = 0; step < o.tokens; step++) {
      throwIfAborted(o.signal);
      const token = argmax(full.logits);
      for (const [r, follower] of followers.entries()) {
        await follower.decode(token);
        steps[r]?.push(nearness(full.logits, follower.logits));
      }
      for (const [r, writer] of writers.entries()) {
        const next = argmax(writer.logits);
        written[r]?.push(next);
        await writer.decode(next);
      }
      onStep(step + 1);
    }
    for (const [r, row] of rows.entries()) {
      const writer = writers[r] as Session;
      row.kl.push(quarters((steps[r] ?? []).map(({ kl }) => kl)));
      row.top1.push(quarters((steps[r] ?? []).map(({ same }) => same)));
      row.repeated.push(repeatedRuns(written[r] ?? []));
      row.kvBytes = Math.max(row.kvBytes, writer.cache.bytes);
      row.found.push((await answerOf(engine, writer, needle.question)).includes(needle.answer));
    }
  } finally {
    for (const session of [...followers, ...writers]) session[Symbol.dispose]();
  }
}

async function answerOf(engine: Engine, session: Session, question: string): Promise<string> {
  const questionText = `\n\nQuestion about the text at the beginning: ${question}\nAnswer:`;
  await session.prefill(engine.tokenizer.encodeNext(untrustedText(questionText)));
  return answerText(session, { maxTokens: ANSWER_TOKENS });
}

/** The share of the runs of `n` tokens that occurred before: 0 where nothing repeats, near 1 in a loop. */
export function repeatedRuns(tokens: readonly number[], n = RUN): number {
  const runs = Array.from({ length: Math.max(0, tokens.length - n + 1) }, (_, i) =>
    tokens.slice(i, i + n).join(),
  );
  return runs.length === 0 ? 0 : 1 - new Set(runs).size / runs.length;
}
