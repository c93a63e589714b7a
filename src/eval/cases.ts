import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { needleNumber, type NeedleUse } from "./needle/facts.ts";
import { insertNeedle } from "./needle/prompt.ts";
import { chatParts, requireTokens } from "./run/sample.ts";

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
export const DOCUMENT_TOKENS = { shortest: 3000, longest: 4000 };

/** The texts' tokens, which documents and haystacks are cut from. */
export function encodeTexts(tokenizer: Tokenizer, texts: readonly string[]): Int32Array[] {
  return texts.map((text) => tokenizer.encodePlain(text));
}

/**
 * Documents of 3,000 to 4,000 tokens, spread over the texts, each with a request for a summary.
 *
 * @throws `USAGE` on a text with fewer tokens than a document of it
 */
export function documentCases(
  tokenizer: Tokenizer,
  sources: readonly Int32Array[],
  count: number,
  { shortest, longest } = DOCUMENT_TOKENS,
): EvalCase[] {
  return Array.from({ length: count }, (_, i) => {
    const source = sources[i % sources.length] as Int32Array;
    const step = (longest - shortest) / Math.max(1, count - 1);
    const length = Math.round(shortest + i * step);
    requireTokens(source.length, length, "a document");
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

/**
 * A number hidden in the texts, for every length and depth; each case has a needle of its own.
 *
 * @throws `USAGE` on a text with fewer tokens than a prompt of it
 */
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
    requireTokens(length, overhead + 1, "the needle's prompt", "ask for a longer one");
    const wanted = length - overhead;
    requireTokens(source.length, wanted, `a prompt of ${length}`);
    const from = Math.floor(((i + 0.5) / cells.length) * (source.length - wanted));
    const text = tokenizer.decode(source.slice(from, from + wanted));
    const hidden = insertNeedle(text, needle.text, depth);
    const parts = chatParts(tokenizer, `${hidden}\n\n${needle.question}`, needle.question);
    const name = `needle ${length} at ${depth}`;
    return { name, task: "needle", ...parts, answer: needle.answer };
  });
}
