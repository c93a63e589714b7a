import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { characterBefore, chatParts, type Sample } from "../run/sample.ts";
import { NEEDLE_FORMS, type NeedleForm } from "./forms.ts";
import { needleText } from "./prompt.ts";

export interface NeedleOptions {
  readonly haystack: string;
  /** Prompt lengths in tokens. */
  readonly lengths: readonly number[];
  /** Where the needle lies, 0 to 1. */
  readonly depths: readonly number[];
  /** One of `NEEDLE_FORMS`. */
  readonly form: string;
  /** Needles for each length and depth, in stretches of the haystack that begin elsewhere. */
  readonly repeats: number;
}

const ANSWER_TOKENS = 24;
/** 2: prompts are tokenized whole. */
const VERSION = 2;

/** Needle in a Haystack (Kamradt, 2023): something hidden at every depth of texts of every length, and asked for. */
export function needleSamples(tokenizer: Tokenizer, o: NeedleOptions): Sample[] {
  const form = NEEDLE_FORMS[o.form] as NeedleForm;
  return o.lengths.flatMap((length) =>
    o.depths.flatMap((depth) =>
      Array.from({ length: o.repeats }, (_, i): Sample => {
        const needle = form.needle(i);
        const start = characterBefore(o.haystack, (i / o.repeats) * o.haystack.length);
        const haystack = o.haystack.slice(start) + o.haystack.slice(0, start);
        return {
          task: `needle/${length}`,
          version: VERSION,
          id: `${o.form} at ${depth}${i === 0 ? "" : `, ${i + 1}`}`,
          scored: { metric: "match-all" },
          truth: { answers: [needle.answer] },
          maxTokens: ANSWER_TOKENS,
          prompts: "own",
          facts: { length, depth },
          parts: () => {
            const text = needleText(tokenizer, haystack, needle, length, depth);
            return chatParts(tokenizer, text, needle.question);
          },
        };
      }),
    ),
  );
}
