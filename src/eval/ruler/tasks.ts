import type { MetricName } from "../metrics.ts";
import {
  commonWords,
  frequentWords,
  needles,
  variableTracking,
  type Generator,
  type NeedleTask,
} from "./generators.ts";

/** How a task is put, with `{context}`, `{query}` and for needles `{type_needle_v}`. */
export interface Wording {
  readonly template: string;
  /** How an answer begins; it is part of the prompt. */
  readonly answerPrefix: string;
}

/** One of RULER's tasks. */
export interface RulerTask extends Wording {
  readonly metric: MetricName;
  /** Tokens of an answer at most. */
  readonly maxTokens: number;
  /** What values are called in the question. */
  readonly valueName?: string;
  /** Absent where questions come from a dataset. */
  readonly generator?: Generator;
}

function needle(task: Partial<NeedleTask>): RulerTask {
  const defaults: NeedleTask = {
    haystack: "essay",
    keys: "words",
    values: "numbers",
    nKeys: 1,
    nValues: 1,
    nQueries: 1,
    ...task,
  };
  const many = defaults.nValues > 1 || defaults.nQueries > 1;
  const plain = { metric: "match-all", maxTokens: 128, generator: needles(defaults) } as const;
  if (many) {
    return {
      ...plain,
      valueName: defaults.values,
      template:
        "Secret {type_needle_v} are scattered over this text. Remember them, for they are asked for at its end.\n\n{context}\n\nWhich secret {type_needle_v} does the text give for {query}?",
      answerPrefix: " The secret {type_needle_v} that the text gives for {query} are",
    };
  }
  return {
    ...plain,
    valueName: defaults.values.slice(0, -1),
    template:
      "A secret {type_needle_v} lies in this text. Remember it, for it is asked for at its end.\n\n{context}\n\nWhich secret {type_needle_v} does the text give for {query}?",
    answerPrefix: " The secret {type_needle_v} that the text gives for {query} is",
  };
}

const question = {
  metric: "match-any",
  maxTokens: 32,
  template:
    "Answer a question from these documents, with the answer alone.\n\n{context}\n\nAnswer the question from the documents above, with the answer alone.\n\nQuestion: {query}",
  answerPrefix: " Answer:",
} as const satisfies RulerTask;

/** RULER (Hsieh et al., arXiv 2404.06654): its 13 tasks with the numbers of its repository (NVIDIA/RULER, synthetic.yaml), in our own words. */
export const RULER_TASKS: Readonly<Record<string, RulerTask>> = {
  niah_single_1: needle({ haystack: "noise" }),
  niah_single_2: needle({}),
  niah_single_3: needle({ values: "uuids" }),
  niah_multikey_1: needle({ nKeys: 4 }),
  niah_multikey_2: needle({ haystack: "needles" }),
  niah_multikey_3: needle({ haystack: "needles", keys: "uuids", values: "uuids" }),
  niah_multivalue: needle({ nValues: 4 }),
  niah_multiquery: needle({ nQueries: 4 }),
  vt: {
    metric: "match-all",
    maxTokens: 30,
    generator: variableTracking({ hops: 4 }),
    template:
      "Variables are assigned values, and each other, in this text. Follow them.\n\n{context}\n\nWhich variables hold the value {query} in the end? There are five.",
    answerPrefix: " Answer: the five variables that hold the value {query} are",
  },
  cwe: {
    metric: "match-all",
    maxTokens: 120,
    generator: commonWords({ common: 10 }),
    template:
      "Some words of this numbered list come more often than the others. Remember which.\n\n{context}\n\nWhich 10 words come most often in the list?",
    answerPrefix: " Answer: the 10 words that come most often in the list are:",
  },
  fwe: {
    metric: "match-all",
    maxTokens: 50,
    generator: frequentWords({ alpha: 2 }),
    template:
      "Count how often each of these coded words comes. Dots are no word.\n\n{context}\n\nWhich three coded words come most often in the text?",
    answerPrefix: " Answer: the three coded words that come most often are",
  },
  qa_1: question,
  qa_2: question,
};
