import type * as JiebaPackage from "@node-rs/jieba";
import { createRequire } from "node:module";
import { missingPart } from "../../optional.ts";

const require = createRequire(import.meta.url);
let jieba: JiebaPackage.Jieba | undefined;

/**
 * A text's segments as the Python package jieba 0.42.1 cuts them, with its model for words that its dictionary
 * lacks.
 *
 * @throws `UNSUPPORTED` where that package is not installed
 */
export function segment(text: string): string[] {
  jieba ??= loadJieba();
  return joinedAgain(jieba.cut(text, true));
}

/** Its dictionary takes memory and time: it is loaded where a Chinese answer is scored. */
function loadJieba(): JiebaPackage.Jieba {
  try {
    const { Jieba: Cutter } = require("@node-rs/jieba") as typeof JiebaPackage;
    const { dict } = require("@node-rs/jieba/dict.js") as { dict: Uint8Array };
    return Cutter.withDict(dict);
  } catch (error) {
    throw missingPart("chinese", error);
  }
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
