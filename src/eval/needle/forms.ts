import { needleNumber } from "./facts.ts";
import { NUMBER_NEEDLE, type Needle } from "./prompt.ts";

/** Questions that share no word with the fact, so that no word of it can be found by its letters. */
const PARAPHRASED: readonly Needle[] = [
  {
    text: "Every Thursday the ferry to the island is rowed by a retired dentist named Oswin.",
    question:
      "Which former tooth doctor brings passengers across once a week? Give his first name.",
    answer: "Oswin",
  },
  {
    text: "Henrike's violin was carved from an old barn door in Tarn.",
    question: "What had been turned into the musician's instrument?",
    answer: "door",
  },
  {
    text: "Since the flood, cats of the village have slept in the post office.",
    question: "After high water came, where do local animals spend their nights?",
    answer: "post office",
  },
  {
    text: "Old Marek keeps gold coins under the third step of his cellar stairs.",
    question: "Where exactly has an elderly man hidden his treasure?",
    answer: "step",
  },
  {
    text: "Professor Adeyemi grows orchids that smell of burnt sugar.",
    question: "Which scent do a scholar's flowers have?",
    answer: "sugar",
  },
];

const CHINESE: Needle = {
  text: "旧金山的神奇数字是48172。",
  question: "请只回答数字。旧金山的神奇数字是多少？",
  answer: "48172",
};

export interface NeedleForm {
  readonly summary: string;
  /** The i-th needle of this form, counted from 0. */
  needle(i: number): Needle;
}

/** What can be hidden. */
export const NEEDLE_FORMS: Readonly<Record<string, NeedleForm>> = {
  number: {
    summary: "the magic number for San Francisco",
    needle: (i) => withDigits(NUMBER_NEEDLE, i),
  },
  facts: { summary: "numbers of five sentences, in turn", needle: (i) => needleNumber(i) },
  paraphrase: {
    summary: "facts that are asked for in other words",
    needle: (i) => PARAPHRASED[i % PARAPHRASED.length] as Needle,
  },
  "number-zh": { summary: "a Chinese number", needle: (i) => withDigits(CHINESE, i) },
};

/** The first needle as it is, later ones with digits of their own. */
function withDigits(needle: Needle, i: number): Needle {
  const answer = i === 0 ? needle.answer : needleNumber(i).answer;
  return { ...needle, answer, text: needle.text.replace(needle.answer, answer) };
}
