import { follow, greedyCourse, type Course } from "../measure/course.ts";
import type { Engine } from "../engine/engine.ts";
import type { Session } from "../engine/session.ts";
import { quarters } from "../mean.ts";
import { rougeL } from "./metrics/rouge-l.ts";
import { needleNumber } from "./needle/facts.ts";
import { insertNeedle, type Needle } from "./needle/prompt.ts";
import type { Way } from "./run/run.ts";
import { chatParts, joined, requireTokens } from "./run/sample.ts";
import { answerText, readTogether } from "../measure/read-together.ts";

export interface PairOptions {
  /** A text that articles are cut from. */
  readonly haystack: string;
  readonly articles: number;
  /** Tokens of an article. */
  readonly length: number;
  /** Tokens of a report. */
  readonly reportTokens: number;
  /** The full cache need not be among them: it always runs. */
  readonly ways: readonly Way[];
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: (done: number, total: number) => void;
}

/** One way over all articles: a value for each. */
export interface PairRow {
  readonly way: Way;
  /** Whether the short question's answer holds the fact. */
  readonly short: boolean[];
  /** Whether the report does, whose request asks for it in its last clause. */
  readonly recalled: boolean[];
  /** Divergence of the way's report from the full cache's. */
  readonly rougeL: number[];
  /** Share of the names and numbers of the full cache's report that occur. */
  readonly facts: number[];
  /** Mean KL to the full cache along its report, in nats, by quarter. */
  readonly kl: number[][];
}

const ANSWER_TOKENS = 24;

/**
 * Does question answering flatter, since its last tokens point at the answer? The same article is asked a short
 * question, and for a long report whose last clause asks for the same fact: what a method keeps for the clause alone
 * is missing all along the report.
 */
export async function runPairs(engine: Engine, o: PairOptions): Promise<PairRow[]> {
  const full: Way = { method: "full" };
  const ways = [full, ...o.ways.filter(({ method }) => method !== "full")];
  const rows = ways.map((way): PairRow => {
    return { way, short: [], recalled: [], rougeL: [], facts: [], kl: [] };
  });
  for (let i = 0; i < o.articles; i++) {
    const needle = needleNumber(i);
    const article = articleOf(engine, o, i, needle);
    await askShortly(engine, article, needle, rows, o.signal);
    await askForReport(engine, article, needle, rows, o);
    o.onStep?.(i + 1, o.articles);
  }
  return rows;
}

function articleOf(engine: Engine, o: PairOptions, i: number, needle: Needle): string {
  const tokens = engine.tokenizer.encodePlain(o.haystack);
  const { length } = o;
  requireTokens(tokens.length, length, "an article");
  const from = Math.floor(((i + 0.5) / o.articles) * (tokens.length - length));
  const text = engine.tokenizer.decode(tokens.slice(from, from + length));
  return insertNeedle(text, needle.text, (i + 1) / (o.articles + 1));
}

async function askShortly(
  engine: Engine,
  article: string,
  { question, answer }: Needle,
  rows: readonly PairRow[],
  signal?: AbortSignal,
): Promise<void> {
  const prompt = promptOf(engine, article, question);
  await readTogether(engine, prompt, optionsOf(rows), { signal }, async ({ way, sessions }) => {
    const [session] = sessions as [Session];
    const text = await answerText(session, { maxTokens: ANSWER_TOKENS }, signal);
    way.row.short.push(text.includes(answer));
  });
}

async function askForReport(
  engine: Engine,
  article: string,
  needle: Needle,
  rows: readonly PairRow[],
  { reportTokens, signal }: PairOptions,
): Promise<void> {
  const subject = needle.question.replace(/^.*?What is /, "").replace(/\?$/, "");
  const request = `Write a long report on the text above, part by part, with all names and numbers that matter, and state in its last sentence ${subject}.`;
  const prompt = promptOf(engine, article, request);
  let truth: { course: Course; text: string } | undefined;
  // Two sessions of each way: one writes its own report, the other follows the full cache's.
  const how = { n: 2, signal };
  await readTogether(engine, prompt, optionsOf(rows), how, async ({ way: { row }, sessions }) => {
    const [writer, follower] = sessions as [Session, Session];
    const text = await answerText(writer, { maxTokens: reportTokens }, signal);
    truth ??= { course: await greedyCourse(follower, reportTokens), text };
    row.recalled.push(text.includes(needle.answer));
    row.rougeL.push(rougeL(text, truth.text, true));
    row.facts.push(sharedFacts(text, truth.text));
    const isFull = row === rows[0];
    const kl = isFull ? [0] : (await follow(follower, truth.course)).map((step) => step.kl);
    row.kl.push(quarters(kl));
  });
}

/** The first row, the full cache, comes first. */
function optionsOf(rows: readonly PairRow[]) {
  return rows.map((row) => ({ row, options: row.way }));
}

function promptOf(engine: Engine, article: string, request: string): Int32Array {
  return joined(chatParts(engine.tokenizer, `${article}\n\n${request}`, request));
}

/** Names and numbers: words that begin with a capital or a digit. */
const FACT = /(?<![\p{L}\p{Nd}])[\p{Lu}\p{Nd}][\p{L}\p{Nd}]*/gu;

/** The share of the distinct names and numbers of `truth` that `text` has; 1 of none. */
export function sharedFacts(text: string, truth: string): number {
  const facts = new Set(truth.match(FACT));
  if (facts.size === 0) return 1;
  const found = new Set(text.match(FACT));
  return [...facts].filter((fact) => found.has(fact)).length / facts.size;
}
