import { PyramidKVError } from "../../errors.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import type { Truth } from "../metrics.ts";
import type { ScoredTask } from "../scored-tasks.ts";

/** A prompt as tokens, cut where the question begins. */
export interface PromptParts {
  readonly context: Int32Array;
  readonly question: Int32Array;
}

/** One thing to answer. */
export interface Sample {
  /** `suite/task` */
  readonly task: string;
  readonly id: string;
  readonly scored: ScoredTask;
  readonly truth: Truth;
  /** Tokens of an answer at most. */
  readonly maxTokens: number;
  readonly stop?: readonly string[] | undefined;
  /** Whose words the prompt is in: `own`, or the name of the file that gave them. */
  readonly prompts: string;
  /** What else tells it from others of its task, such as a needle's depth. */
  readonly facts?: Readonly<Record<string, number>>;
  /** Made when it is needed. */
  parts(): PromptParts;
}

/** A prompt's text, and where the question begins in it. */
export interface PromptText {
  readonly text: string;
  /** Of `text`, at its end. */
  readonly question: string;
}

/**
 * A prompt as published suites cut it: where it is longer than `most` tokens, its first and last halves, joined as
 * text. Then, for chats, within the model's template.
 */
export function promptParts(
  tokenizer: Tokenizer,
  { text, question }: PromptText,
  { most, chat }: { readonly most: number; readonly chat: boolean },
): PromptParts {
  const whole = withoutMiddle(tokenizer, text, most);
  // A question longer than half of the prompt is cut as well: then all of the second half is the question.
  const cut = whole.endsWith(question)
    ? whole.length - question.length
    : characterBefore(whole, whole.length / 2);
  const [context, rest] = [whole.slice(0, cut), whole.slice(cut)];
  if (!chat) {
    return {
      context: tokenizer.encode(context),
      question: tokenizer.encode(rest, { addSpecial: false }),
    };
  }
  return splitChat(tokenizer, whole, rest);
}

/** The place at or before `at` where a character begins: half of a surrogate pair is none. */
export function characterBefore(text: string, at: number): number {
  const place = Math.floor(at);
  const isLow = /[\uDC00-\uDFFF]/.test(text.charAt(place));
  return isLow ? place - 1 : place;
}

/** One user message as a chat prompt, cut where `question`, which it ends with, begins. */
export function splitChat(tokenizer: Tokenizer, content: string, question: string): PromptParts {
  const prompt = tokenizer.applyChatTemplate([{ role: "user", content }]);
  // Templates may trim what they are given.
  const cut = prompt.lastIndexOf(question.trimEnd());
  if (cut < 0) {
    throw new PyramidKVError("UNSUPPORTED", "the model's chat template changes what it is given");
  }
  const encode = (part: string) => tokenizer.encode(part, { addSpecial: false });
  return { context: encode(prompt.slice(0, cut)), question: encode(prompt.slice(cut)) };
}

/** The same prompt with the beginning of the answer behind it. */
export function withAnswerBegun(
  tokenizer: Tokenizer,
  { context, question }: PromptParts,
  beginning: string,
): PromptParts {
  const begun = tokenizer.encode(beginning, { addSpecial: false });
  return { context, question: Int32Array.from([...question, ...begun]) };
}

/** LongBench's rule (THUDM/LongBench, pred.py): the first and the last half of the tokens, each as text. */
export function withoutMiddle(tokenizer: Tokenizer, text: string, most: number): string {
  const tokens = tokenizer.encode(text);
  if (tokens.length <= most) return text;
  const half = Math.floor(most / 2);
  return tokenizer.decode(tokens.slice(0, half)) + tokenizer.decode(tokens.slice(-half));
}
