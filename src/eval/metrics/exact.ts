import { numbers, roundEven, strip } from "./python-text.ts";

/** Share of the numbers that a prediction names that are the answer. */
export function countScore(prediction: string, answer: string): number {
  return shareOf(numbers(prediction), answer);
}

/** The same with the number of the paragraph that the answer names. */
export function retrievalScore(prediction: string, answer: string): number {
  return shareOf(numbers(prediction), /Paragraph (\p{Nd}+)/u.exec(answer)?.[1]);
}

/** The same of Chinese paragraphs. */
export function chineseRetrievalScore(prediction: string, answer: string): number {
  return shareOf(numbers(prediction), /段落(\p{Nd}+)/u.exec(answer)?.[1]);
}

function shareOf(found: readonly string[], wanted: string | undefined): number {
  return found.length === 0 ? 0 : found.filter((n) => n === wanted).length / found.length;
}

/**
 * 1 over the number of classes that a prediction names, where the answer is among them. Classes whose names are part
 * of the answer's are struck out first; as in the original, which strikes out of the list that it walks, the one
 * after each is passed over.
 */
export function classificationScore(
  prediction: string,
  answer: string,
  classes: readonly string[],
): number {
  const named = classes.filter((name) => prediction.includes(name));
  for (let i = 0; i < named.length; i++) {
    const name = named[i] as string;
    if (name !== answer && answer.includes(name)) named.splice(named.indexOf(name), 1);
  }
  return named.includes(answer) ? 1 / named.length : 0;
}

/** Likeness of the first line that holds code to the answer's line. */
export function codeSimilarity(prediction: string, answer: string): number {
  const lines = prediction.replace(/^\n+/, "").split("\n");
  const isCode = (line: string) => !["`", "#", "//"].some((mark) => line.includes(mark));
  return ratio(lines.find(isCode) ?? "", answer) / 100;
}

/**
 * Likeness of two texts in percent, a whole number: twice the longest common subsequence of their code points over
 * their lengths (`fuzz.ratio` with its Levenshtein backend).
 */
export function ratio(a: string, b: string): number {
  const [x, y] = [Array.from(a), Array.from(b)];
  if (x.length === 0 && y.length === 0) return 100;
  let row = new Uint32Array(y.length + 1);
  for (const token of x) {
    const next = new Uint32Array(y.length + 1);
    for (let j = 1; j <= y.length; j++) {
      const [diagonal, up, left] = [row[j - 1], row[j], next[j - 1]] as [number, number, number];
      next[j] = token === y[j - 1] ? diagonal + 1 : Math.max(up, left);
    }
    row = next;
  }
  const common = row[y.length] as number;
  return roundEven((100 * 2 * common) / (x.length + y.length));
}

/** RULER: control characters of a prediction become newlines. */
export function withoutControls(prediction: string): string {
  // eslint-disable-next-line no-control-regex -- just those
  return strip(strip(prediction).replace(/[\x00-\x1f]/g, "\n"));
}

/** The share of the answers that a prediction holds, in any case of letters. */
export function matchesAll(prediction: string, answers: readonly string[]): number {
  const text = withoutControls(prediction).toLowerCase();
  const found = answers.filter((answer) => text.includes(answer.toLowerCase()));
  return answers.length === 0 ? 0 : found.length / answers.length;
}

/** Whether a prediction holds any of the answers, in any case of letters: 1 or 0. */
export function matchesAny(prediction: string, answers: readonly string[]): number {
  return matchesAll(prediction, answers) > 0 ? 1 : 0;
}

/** LongBench v2: whether "The correct answer is (B)", with or without parentheses, is said of the right letter; asterisks aside. */
export function choiceScore(prediction: string, answer: string): number {
  const text = prediction.replaceAll("*", "");
  const sentences = [`(${answer})`, answer].map((letter) => `The correct answer is ${letter}`);
  return sentences.some((sentence) => text.includes(sentence)) ? 1 : 0;
}
