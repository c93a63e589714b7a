import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { requireTokens } from "../run/sample.ts";

/** A fact to hide, how it is asked for, and what a right answer contains. */
export interface Needle {
  readonly text: string;
  readonly question: string;
  readonly answer: string;
}

/** The number needle of the Needle-in-a-Haystack test, in the form that RULER made common. */
export const NUMBER_NEEDLE: Needle = {
  text: "The special magic number for San Francisco is 48172.",
  // The question comes last: the observation window must see what is asked, not how to answer.
  question: "Answer with the number only. What is the special magic number for San Francisco?",
  answer: "48172",
};

/** The same fact asked the other way round, which the default model copes with better in old prose. */
export const DEMO_NEEDLE: Needle = {
  ...NUMBER_NEEDLE,
  question: "What is the special magic number for San Francisco? Answer with the number only.",
};

/** Tokens for what joining texts may add. */
const ROOM = 8;

/**
 * A message of which the chat prompt is at most `length` tokens: as much of the haystack as fits, over again where it
 * is shorter, the needle at `depth` (0 start, 1 end, moved back to the end of a sentence), then the question.
 *
 * @throws `USAGE` on a length that needle and question alone exceed
 */
export function needleText(
  tokenizer: Tokenizer,
  haystack: string,
  needle: Needle,
  length: number,
  depth: number,
): string {
  const content = (text: string) => `${text}\n\n${needle.question}`;
  const overhead = tokenizer.encodeChat([{ role: "user", content: content(needle.text) }]).length;
  requireTokens(length, overhead + ROOM + 1, "the needle's prompt", "ask for a longer one");
  const wanted = length - overhead - ROOM;
  const tokens = tokenizer.encodePlain(haystack);
  const text = Int32Array.from({ length: tokens.length === 0 ? 0 : wanted }, (_, i) => {
    return tokens[i % tokens.length] as number;
  });
  return content(insertNeedle(tokenizer.decode(text), needle.text, depth));
}

/** The same as tokens. */
export function needlePrompt(...parameters: Parameters<typeof needleText>): Int32Array {
  return parameters[0].encodeChat([{ role: "user", content: needleText(...parameters) }]);
}

/** The text with the needle at `depth`, 0 to 1, moved back to the end of a sentence. */
export function insertNeedle(text: string, needle: string, depth: number): string {
  const cut = sentenceEnd(text, Math.floor(text.length * depth));
  return `${text.slice(0, cut)} ${needle} ${text.slice(cut).trimStart()}`.trimStart();
}

/** The end of the last sentence before `at`, Chinese or other; 0 where there is none. */
function sentenceEnd(text: string, at: number): number {
  if (at >= text.length) return text.length;
  return Math.max(text.lastIndexOf(".", at), text.lastIndexOf("。", at)) + 1;
}
