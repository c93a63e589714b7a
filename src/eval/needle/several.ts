import { seededRandom } from "../../random.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { chatParts, requireTokens, type Sample } from "../run/sample.ts";
import { drawer, KINDS } from "../ruler/words.ts";
import { insertNeedle } from "./prompt.ts";

export interface SeveralOptions {
  readonly haystack: string;
  /** Prompt lengths in tokens. */
  readonly lengths: readonly number[];
  /** Texts of each length. */
  readonly texts: number;
  /** Facts in a text, each asked for by itself. */
  readonly questions: number;
  readonly seed: number;
}

const ANSWER_TOKENS = 16;
/** 2: prompts are tokenized whole. */
const VERSION = 2;
const question = (place: string) => `What is the locker code of the ${place} club?`;
const begun = (place: string) => `The locker code of the ${place} club is`;

/**
 * Many questions on one text: facts spread over it evenly, each asked for by itself, with the answer begun. The text is the same for all of
 * them, so that question-agnostic compression is one compression for all, and question-aware one is told each time.
 */
export function severalQuestions(tokenizer: Tokenizer, o: SeveralOptions): Sample[] {
  const tokens = tokenizer.encodePlain(o.haystack);
  return o.lengths.flatMap((length) =>
    Array.from({ length: o.texts }, (_, i) => {
      const random = seededRandom(o.seed + i);
      const [place, code] = [drawer(random, KINDS.words), drawer(random, KINDS.codes)];
      const facts = Array.from({ length: o.questions }, () => ({ place: place(), code: code() }));
      const lines = facts.map(
        (fact) => `The locker code of the ${fact.place} club is ${fact.code}.`,
      );
      // Places are of different lengths: a few tokens for that, and for where a text is cut.
      const { place: name = "" } = facts[0] ?? {};
      const rest = `${lines.join(" ")}\n\n${question(name)}\n${begun(name)}`;
      const overhead = tokenizer.encodeChat([{ role: "user", content: rest }]).length + 16;
      const least = overhead + o.questions;
      requireTokens(length, least, `a text with ${o.questions} questions`, "ask for a longer one");
      const wanted = length - overhead;
      requireTokens(tokens.length, wanted, `a prompt of ${length}`);
      const from = Math.floor((i / o.texts) * (tokens.length - wanted));
      let text = tokenizer.decode(tokens.slice(from, from + wanted));
      // From the end on, so that places before stay what they are.
      for (let at = lines.length - 1; at >= 0; at--) {
        text = insertNeedle(text, lines[at] as string, (at + 0.5) / lines.length);
      }
      return facts.map((fact, at): Sample => {
        const request = question(fact.place);
        return {
          task: `questions/${length}`,
          version: VERSION,
          id: `text ${i + 1}, question ${at + 1}`,
          scored: { metric: "match-all" },
          truth: { answers: [fact.code] },
          maxTokens: ANSWER_TOKENS,
          prompts: "own",
          facts: { length, depth: (at + 0.5) / lines.length },
          parts: () => {
            return chatParts(tokenizer, `${text}\n\n${request}`, request, begun(fact.place));
          },
        };
      });
    }).flat(),
  );
}
