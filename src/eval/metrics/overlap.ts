import { segment } from "./chinese.ts";
import { normalizeAnswer, normalizeChineseAnswer, words } from "./python-text.ts";

/** F1 of two bags of words: the harmonic mean of the shares that they have in common. */
export function bagF1(prediction: readonly string[], answer: readonly string[]): number {
  const left = new Map<string, number>();
  for (const word of answer) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of prediction) {
    const n = left.get(word) ?? 0;
    if (n === 0) continue;
    left.set(word, n - 1);
    common++;
  }
  if (common === 0) return 0;
  const [precision, recall] = [common / prediction.length, common / answer.length];
  return (2 * precision * recall) / (precision + recall);
}

/** Words in common with the answer, after SQuAD's normalization. */
export function qaF1(prediction: string, answer: string): number {
  return bagF1(words(normalizeAnswer(prediction)), words(normalizeAnswer(answer)));
}

/** The same of Chinese, by its segments. */
export function chineseQaF1(prediction: string, answer: string): number {
  const parts = (text: string) =>
    segment(text)
      .map(normalizeChineseAnswer)
      .filter((part) => part !== "");
  return bagF1(parts(prediction), parts(answer));
}
