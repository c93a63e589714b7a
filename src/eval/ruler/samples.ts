import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { seededRandom } from "../../random.ts";
import { PyramidKVError } from "../../errors.ts";
import { chatParts, joined, type PromptParts, type Sample } from "../run/sample.ts";
import { documentQuestions, filled, type Generator, type Question } from "./generators.ts";
import type { RulerPrompts } from "./prompts.ts";
import { RULER_TASKS, type RulerTask } from "./tasks.ts";

export interface RulerOptions {
  readonly tasks: readonly string[];
  /** Tokens of prompt and answer together. */
  readonly lengths: readonly number[];
  /** Samples of each task and length. */
  readonly count: number;
  readonly seed: number;
  /** The text that needles lie in. */
  readonly haystack: string;
  readonly prompts: RulerPrompts;
  /** Questions of `qa_1` and `qa_2`. */
  readonly questions: Readonly<Record<string, readonly Question[]>>;
}

/** 2: prompts are tokenized whole, cwe draws all words from one list, fwe has the length that is asked for. */
const VERSION = 2;
/** Sizes beyond which no haystack is tried. */
const LARGEST = 2 ** 20;

/** RULER's tasks, made for any length and tokenizer: the same seed makes the same samples. */
export function rulerSamples(tokenizer: Tokenizer, o: RulerOptions): Sample[] {
  const sentences = o.haystack.split(/(?<=[.!?。！？])\s+/).filter((s) => s.trim() !== "");
  // Prompts are long: only the last one made is held.
  let last: { readonly id: string; readonly made: ReturnType<typeof fit> } | undefined;
  return o.lengths.flatMap((length) =>
    o.tasks.flatMap((name) =>
      Array.from({ length: o.count }, (_, i): Sample => {
        const task = { ...(RULER_TASKS[name] as RulerTask), ...o.prompts.wording(name) };
        const generator = task.generator ?? documentQuestions(o.questions[name] ?? [], i);
        const maker = (generate: Generator): Maker => {
          const make = (size: number) => {
            const random = seededRandom(seedOf(o.seed, name, length, i));
            const source = { random, sentences, phrases: o.prompts.phrases, length };
            return put(task, generate(source, size));
          };
          const { largest = LARGEST, beyond } = generate;
          return { make, largest, beyond: beyond && (() => maker(beyond)) };
        };
        const room = length - task.maxTokens;
        const id = `${name} ${length} ${i}`;
        const fitted = () => {
          if (last?.id !== id)
            last = { id, made: fit(tokenizer, maker(generator), room, `ruler/${name}`) };
          return last.made;
        };
        return {
          task: `ruler/${name}`,
          version: VERSION,
          id: `${length} #${i + 1}`,
          scored: task,
          maxTokens: task.maxTokens,
          prompts: o.prompts.name,
          facts: { length },
          get truth() {
            return { answers: fitted().answers };
          },
          parts: () => fitted().parts,
        };
      }),
    ),
  );
}

/** A task as text. */
interface Put {
  readonly context: string;
  readonly question: string;
  readonly answerPrefix: string;
  readonly answers: readonly string[];
}

function put(task: RulerTask, { context, query, answers }: ReturnType<Generator>): Put {
  const names = { query, type_needle_v: task.valueName ?? "", num_v: String(answers.length) };
  const [before = "", ...after] = filled(task.template, names).split("{context}");
  return {
    context: before + context,
    question: after.join("{context}"),
    answerPrefix: filled(task.answerPrefix, names),
    answers,
  };
}

/** Makes a task's prompt by the size of its haystack. */
interface Maker {
  readonly make: (size: number) => Put;
  readonly largest: number;
  /** A maker of longer prompts, where the largest size leaves room. */
  readonly beyond: (() => Maker) | undefined;
}

/** Shares of the length asked that are no other length. */
const FILLED = 0.9;

/** Throws where there is too little text for a length: its answers would be called those of a longer prompt. */
function requireFilled(tokens: number, room: number, name: string): void {
  if (tokens >= FILLED * room) return;
  throw new PyramidKVError(
    "USAGE",
    `${name}: all its documents together are a prompt of ${tokens} tokens, ${room} were asked for; give more of them, or lower --lengths`,
  );
}

/** The largest haystack of which the prompt has room, by halving. */
function fit(
  tokenizer: Tokenizer,
  { make, largest, beyond }: Maker,
  room: number,
  name: string,
): { parts: PromptParts; answers: readonly string[] } {
  const at = (size: number) => {
    const put = make(size);
    return { parts: partsOf(tokenizer, put), answers: put.answers };
  };
  const fits = ({ parts }: ReturnType<typeof at>) => joined(parts).length <= room;
  let best = at(1);
  if (!fits(best)) {
    throw new PyramidKVError(
      "USAGE",
      `${name} needs ${joined(best.parts).length} tokens of prompt at the least, ${room} are left: raise --lengths`,
    );
  }
  let [least, most] = [1, 2];
  for (; most < largest; most *= 2) {
    const larger = at(most);
    if (!fits(larger)) break;
    [least, best] = [most, larger];
  }
  if (most >= largest) {
    const whole = at(largest);
    if (fits(whole)) {
      if (beyond !== undefined) return fit(tokenizer, beyond(), room, name);
      requireFilled(joined(whole.parts).length, room, name);
      return whole;
    }
    most = largest;
  }
  while (most - least > 1) {
    const middle = Math.floor((least + most) / 2);
    const tried = at(middle);
    if (fits(tried)) [least, best] = [middle, tried];
    else most = middle;
  }
  return best;
}

/** Within the model's chat template, and the answer begun. */
function partsOf(tokenizer: Tokenizer, { context, question, answerPrefix }: Put): PromptParts {
  return chatParts(tokenizer, context + question, question, answerPrefix.trimStart());
}

/** A seed of its own for every sample: FNV-1a of its name. */
function seedOf(...parts: readonly (string | number)[]): number {
  let hash = 0x811c9dc5;
  for (const c of parts.join("/"))
    hash = Math.imul(hash ^ (c.codePointAt(0) as number), 0x01000193);
  return hash >>> 0;
}
