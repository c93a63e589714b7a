import type { Needle } from "./prompt.ts";

type Fact = readonly [statement: string, asked: string];

/** Facts of one form each, and how they are asked for: the question last, so that the observation window sees it. */
const FACTS: Readonly<Record<NeedleUse, readonly Fact[]>> = {
  test: [
    ["The special magic number for San Francisco is", "the special magic number for San Francisco"],
    ["The access code of the north gate is", "the access code of the north gate"],
    ["Maria's locker number at the swimming pool is", "Maria's locker number at the swimming pool"],
    ["The serial number of the blue generator is", "the serial number of the blue generator"],
    ["The phone extension of the harbour office is", "the phone extension of the harbour office"],
  ],
  calibration: [
    ["The membership number of Mr. Okafor is", "the membership number of Mr. Okafor"],
    ["The combination of the kitchen safe is", "the combination of the kitchen safe"],
    ["The inventory number of the oak table is", "the inventory number of the oak table"],
  ],
};

/** What a needle is for: a model is not tested with what it was calibrated with. */
export type NeedleUse = "test" | "calibration";

/** A needle by its number: forms take turns, and every needle has digits of its own. */
export function needleNumber(i: number, use: NeedleUse = "test"): Needle {
  const facts = FACTS[use];
  const [statement, question] = facts[i % facts.length] as Fact;
  const first = use === "test" ? 38_172 : 61_403;
  const answer = String(10_000 + ((i * 7_919 + first) % 90_000));
  return {
    text: `${statement} ${answer}.`,
    question: `Answer with the number only. What is ${question}?`,
    answer,
  };
}
