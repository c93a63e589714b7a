import { PyramidKVError } from "../../errors.ts";
import { joinTexts, untrustedText, type PromptText } from "../../tokenizer/prompt-text.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import type { Truth } from "../metrics.ts";
import type { ScoredTask } from "./score.ts";

/**
 * A prompt's tokens, cut where the question begins: both together are the tokens of the whole prompt. A token that lies
 * across the seam is the question's, so what is compressed without the question holds nothing of it.
 */
export interface PromptParts {
  readonly context: Int32Array;
  readonly question: Int32Array;
}

/** One thing to answer. */
export interface Sample {
  /** `suite/task` */
  readonly task: string;
  /** Rises when scores of the task can change: those of two versions are not comparable. */
  readonly version: number;
  readonly id: string;
  readonly scored: ScoredTask;
  readonly truth: Truth;
  /** Tokens of an answer at most. */
  readonly maxTokens: number;
  readonly stop?: readonly string[] | undefined;
  /** Tokens before which it may not end. */
  readonly minTokens?: number | undefined;
  /** Whose words the prompt is in: `own`, or the name of the file that gave them. */
  readonly prompts: string;
  /** What else tells it from others of its task, such as a needle's depth. */
  readonly facts?: Readonly<Record<string, number>>;
  /** Made when it is needed. */
  parts(): PromptParts;
}

/** A prompt's text, and where the question begins in it. */
export interface TextParts {
  readonly text: string;
  /** The part of `text`, at its end, that asks. */
  readonly question: string;
}

/**
 * A prompt as published suites cut it: where it is longer than `most` tokens, its first and last halves, joined as
 * text. Then, for chats, within the model's template.
 */
export function promptParts(
  tokenizer: Tokenizer,
  { text, question }: TextParts,
  { most, chat }: { readonly most: number; readonly chat: boolean },
): PromptParts {
  const whole = withoutMiddle(tokenizer, text, most);
  // A question longer than half of the prompt is cut as well: then all of the second half is the question.
  const cut = whole.endsWith(question)
    ? whole.length - question.length
    : characterBefore(whole, whole.length / 2);
  if (chat) return chatParts(tokenizer, whole, whole.slice(cut));
  return cutAt(tokenizer, untrustedText(whole), cut);
}

/** The place at or before `at` where a character begins: half of a surrogate pair is none. */
export function characterBefore(text: string, at: number): number {
  const place = Math.floor(at);
  const isLow = /[\uDC00-\uDFFF]/.test(text.charAt(place));
  return isLow ? place - 1 : place;
}

/**
 * One user message as a chat prompt, cut where `question`, which it ends with, begins.
 *
 * @param answerBegun what the answer begins with
 */
export function chatParts(
  tokenizer: Tokenizer,
  content: string,
  question: string,
  answerBegun = "",
): PromptParts {
  const chat = tokenizer.renderChat([{ role: "user", content }]);
  // Templates may trim what they are given.
  const cut = chat.text.lastIndexOf(question.trim());
  if (cut < 0) {
    throw new PyramidKVError("UNSUPPORTED", "the model's chat template changes what it is given");
  }
  return cutAt(tokenizer, joinTexts(chat, untrustedText(answerBegun)), cut);
}

function cutAt(tokenizer: Tokenizer, prompt: PromptText, place: number): PromptParts {
  const { before, after } = tokenizer.encodePrompt(prompt).splitAt(place);
  return { context: before, question: after };
}

/** Throws `USAGE` where a text or a length has fewer tokens than are needed: what came of it would not be what it is called. */
export function requireTokens(
  n: number,
  least: number,
  what: string,
  advice = "give a longer text",
): void {
  if (n >= least) return;
  throw new PyramidKVError("USAGE", `${what} needs ${least} tokens, there are ${n}; ${advice}`);
}

/** All tokens of a prompt. */
export function joined({ context, question }: PromptParts): Int32Array {
  const tokens = new Int32Array(context.length + question.length);
  tokens.set(context);
  tokens.set(question, context.length);
  return tokens;
}

/** LongBench's rule (THUDM/LongBench, pred.py): the first and the last half of the tokens, each as text. */
export function withoutMiddle(tokenizer: Tokenizer, text: string, most: number): string {
  const tokens = tokenizer.encode(text, { parseSpecial: false });
  if (tokens.length <= most) return text;
  const half = Math.floor(most / 2);
  return tokenizer.decode(tokens.slice(0, half)) + tokenizer.decode(tokens.slice(-half));
}
