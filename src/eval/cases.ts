import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { needleNumber, type NeedleUse } from "./needle/facts.ts";
import { insertNeedle } from "./needle/prompt.ts";
import { chatParts } from "./run/sample.ts";

/** What the question asks for. */
export const TASKS = ["summary", "needle"] as const;
export type Task = (typeof TASKS)[number];

/** A context and a question on it, as tokens of one chat prompt. */
export interface EvalCase {
  readonly name: string;
  readonly task: Task;
  readonly context: Int32Array;
  readonly question: Int32Array;
  /** What a right answer contains, where there is one. */
  readonly answer?: string;
}

const SUMMARY = "Summarize the text above in a few sentences.";
/** Tokens of the shortest and the longest document. */
const DOCUMENT = { shortest: 3000, longest: 4000 };

/** The texts' tokens, which documents and haystacks are cut from. */
export function encodeTexts(tokenizer: Tokenizer, texts: readonly string[]): Int32Array[] {
  return texts.map((text) => tokenizer.encodePlain(text));
}

/** Documents of 3,000 to 4,000 tokens, spread over the texts, each with a request for a summary. */
export function documentCases(
  tokenizer: Tokenizer,
  sources: readonly Int32Array[],
  count: number,
): EvalCase[] {
  return Array.from({ length: count }, (_, i) => {
    const source = sources[i % sources.length] as Int32Array;
    const step = (DOCUMENT.longest - DOCUMENT.shortest) / Math.max(1, count - 1);
    const length = Math.min(source.length, Math.round(DOCUMENT.shortest + i * step));
    const place = (Math.floor(i / sources.length) + 0.5) / Math.ceil(count / sources.length);
    const from = Math.floor(place * (source.length - length));
    const text = tokenizer.decode(source.slice(from, from + length));
    return {
      name: `document ${i + 1}`,
      task: "summary",
      ...chatParts(tokenizer, `${text}\n\n${SUMMARY}`, SUMMARY),
    };
  });
}

/** A number hidden in the texts, for every length and depth; each case has a needle of its own. */
export function needleCases(
  tokenizer: Tokenizer,
  sources: readonly Int32Array[],
  { lengths, depths }: { readonly lengths: readonly number[]; readonly depths: readonly number[] },
  use: NeedleUse = "test",
): EvalCase[] {
  const cells = lengths.flatMap((length) => depths.map((depth) => ({ length, depth })));
  return cells.map(({ length, depth }, i) => {
    const source = sources[i % sources.length] as Int32Array;
    const needle = needleNumber(i, use);
    const overhead = tokenizer.encodePlain(`${needle.text} ${needle.question}`).length + 48;
    const wanted = Math.min(source.length, Math.max(0, length - overhead));
    const from = Math.floor(((i + 0.5) / cells.length) * (source.length - wanted));
    const text = tokenizer.decode(source.slice(from, from + wanted));
    const hidden = insertNeedle(text, needle.text, depth);
    const parts = chatParts(tokenizer, `${hidden}\n\n${needle.question}`, needle.question);
    const name = `needle ${length} at ${depth}`;
    return { name, task: "needle", ...parts, answer: needle.answer };
  });
}
