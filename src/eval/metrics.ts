import {
  chineseRetrievalScore,
  choiceScore,
  classificationScore,
  codeSimilarity,
  countScore,
  matchesAll,
  matchesAny,
  retrievalScore,
} from "./metrics/exact.ts";
import { chineseQaF1, qaF1 } from "./metrics/overlap.ts";
import { chineseRougeL, rougeL } from "./metrics/rouge-l.ts";

/** What a prediction is held against. */
export interface Truth {
  readonly answers: readonly string[];
  /** All classes of a classification. */
  readonly classes?: readonly string[] | undefined;
}

export interface Metric {
  readonly summary: string;
  /** 0 to 1. */
  score(prediction: string, truth: Truth): number;
}

/** The best of the answers, as LongBench takes it. */
const best =
  (score: (prediction: string, answer: string, classes: readonly string[]) => number) =>
  (prediction: string, { answers, classes = [] }: Truth) =>
    answers.reduce((most, answer) => Math.max(most, score(prediction, answer, classes)), 0);

/** How predictions are scored, by name. The first nine are LongBench's, `choice` is that of its second version, the last two are RULER's. */
export const METRICS = {
  "qa-f1": { summary: "words in common with the answer (F1)", score: best(qaF1) },
  "qa-f1-zh": { summary: "Chinese segments in common (F1)", score: best(chineseQaF1) },
  "rouge-l": { summary: "ROUGE-L", score: best((p, a) => rougeL(p, a)) },
  "rouge-l-zh": { summary: "ROUGE-L of Chinese segments", score: best(chineseRougeL) },
  classification: { summary: "the class is named", score: best(classificationScore) },
  retrieval: { summary: "the paragraph's number", score: best(retrievalScore) },
  "retrieval-zh": { summary: "the paragraph's number", score: best(chineseRetrievalScore) },
  count: { summary: "the number", score: best(countScore) },
  "code-similarity": { summary: "likeness of the next line", score: best(codeSimilarity) },
  choice: { summary: "the letter of the right choice", score: best(choiceScore) },
  "match-all": {
    summary: "the share of the answers that occur",
    score: (prediction, { answers }) => matchesAll(prediction, answers),
  },
  "match-any": {
    summary: "one of the answers occurs",
    score: (prediction, { answers }) => matchesAny(prediction, answers),
  },
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricName = keyof typeof METRICS;
