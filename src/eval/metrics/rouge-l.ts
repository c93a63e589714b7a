import { segment } from "./chinese.ts";
import { words } from "./python-text.ts";

/** Python's recursion ends here: the package follows a longest common subsequence by calls within calls. */
const DEEPEST = 991;

/**
 * ROUGE-L F as LongBench publishes it, which is that of the Python package `rouge` 1.0.1 and not the usual one: texts
 * are cut into sentences at every ".", and all counts are of *distinct* words. Hits are the words on one longest
 * common subsequence of any two sentences; F = 2PR / (P + R + 10⁻⁸). What makes the package throw counts 0: a text
 * without sentences, and, at about 990 steps along the two sentences, Python's recursion limit.
 *
 * @param unlimited goes on where Python's recursion ends
 */
export function rougeL(prediction: string, answer: string, unlimited = false): number {
  const [candidate, reference] = [sentences(prediction), sentences(answer)];
  if (candidate.length === 0 || reference.length === 0) return 0;
  const hits = new Set<string>();
  for (const r of reference) {
    for (const p of candidate) {
      const { common, steps } = longestCommon(r, p);
      if (steps > DEEPEST && !unlimited) return 0;
      for (const word of common) hits.add(word);
    }
  }
  const recall = hits.size / new Set(reference.flat()).size;
  const precision = hits.size / new Set(candidate.flat()).size;
  return (2 * precision * recall) / (precision + recall + 1e-8);
}

/** The same of Chinese: its segments stand for words. */
export function chineseRougeL(prediction: string, answer: string): number {
  return rougeL(segment(prediction).join(" "), segment(answer).join(" "));
}

/** Words of each sentence; a blank one counts an empty word. */
function sentences(text: string): string[][] {
  return text
    .split(".")
    .filter((sentence) => sentence !== "")
    .map((sentence) => words(sentence).join(" ").split(" "));
}

/** One longest common subsequence, read from the end; where two are as long, a step goes back in the prediction. */
function longestCommon(
  reference: readonly string[],
  prediction: readonly string[],
): { common: string[]; steps: number } {
  const width = prediction.length + 1;
  const table = new Uint32Array((reference.length + 1) * width);
  const at = (i: number, j: number) => table[i * width + j] as number;
  for (let i = 1; i <= reference.length; i++) {
    for (let j = 1; j <= prediction.length; j++) {
      const same = reference[i - 1] === prediction[j - 1];
      table[i * width + j] = same ? at(i - 1, j - 1) + 1 : Math.max(at(i - 1, j), at(i, j - 1));
    }
  }
  const common: string[] = [];
  let [i, j, steps] = [reference.length, prediction.length, 1];
  for (; i > 0 && j > 0; steps++) {
    if (reference[i - 1] === prediction[j - 1]) {
      common.push(reference[i - 1] as string);
      i--;
      j--;
    } else if (at(i - 1, j) > at(i, j - 1)) {
      i--;
    } else {
      j--;
    }
  }
  return { common, steps };
}
