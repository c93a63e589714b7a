import { Jieba } from "@node-rs/jieba";
import { dict } from "@node-rs/jieba/dict.js";

let jieba: Jieba | undefined;

/**
 * A text's segments as the Python package jieba 0.42.1 cuts them, with its model for words that its dictionary
 * lacks.
 */
export function segment(text: string): string[] {
  jieba ??= Jieba.withDict(dict);
  return joinedAgain(jieba.cut(text, true));
}

/** Letters, digits and what the two packages take for parts of numbers. */
const NUMERIC = /^[A-Za-z0-9+#&._%-]+$/;
/** What this package keeps whole and Python's cuts: "2018-09", "ECG-10". */
const KEPT_WHOLE = /^[A-Za-z0-9]+[-+#&_%][0-9]/;
const PIECES = /[a-zA-Z0-9]+(?:\.\d+)?%?|./gu;

/** Cuts runs of letters and numbers as Python's package does, from the first segment on where the two differ. */
function joinedAgain(segments: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < segments.length; i++) {
    let run = segments[i] as string;
    if (!KEPT_WHOLE.test(run)) {
      out.push(run);
      continue;
    }
    while (NUMERIC.test(segments[i + 1] ?? "")) run += segments[++i] as string;
    out.push(...(run.match(PIECES) ?? []));
  }
  return out;
}
