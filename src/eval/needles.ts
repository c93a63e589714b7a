import type { Needle } from "./needle-prompt.ts";

/** Facts of one form each, and how they are asked for: the question last, so that the observation window sees it. */
const FACTS = [
  ["The special magic number for San Francisco is", "the special magic number for San Francisco"],
  ["The access code of the north gate is", "the access code of the north gate"],
  ["Maria's locker number at the swimming pool is", "Maria's locker number at the swimming pool"],
  ["The serial number of the blue generator is", "the serial number of the blue generator"],
  ["The phone extension of the harbour office is", "the phone extension of the harbour office"],
] as const;

/** A needle by its number: forms take turns, and every needle has digits of its own. */
export function needleNumber(i: number): Needle {
  const [statement, asked] = FACTS[i % FACTS.length] as (typeof FACTS)[number];
  const answer = String(10_000 + ((i * 7_919 + 38_172) % 90_000));
  return {
    text: `${statement} ${answer}.`,
    question: `Answer with the number only. What is ${asked}?`,
    answer,
  };
}
