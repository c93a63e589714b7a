import { seededRandom } from "../../random.ts";
import { mean } from "../../mean.ts";

/** A difference and its 95 % confidence interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Scores of the same samples in two ways, `[ours, theirs]`, of one task. */
export type Pairs = readonly (readonly [number, number])[];

const DRAWS = 2000;

/**
 * The difference of two averages over tasks, by the paired bootstrap: samples are drawn again within each task, both
 * ways' scores of a sample together, and the middle 95 % of the differences are the interval (Efron's percentiles).
 */
export function pairedDifference(tasks: readonly Pairs[], draws = DRAWS): Interval {
  const random = seededRandom(1);
  const difference = (pick: (pairs: Pairs) => Pairs) =>
    mean(tasks.map((pairs) => mean(pick(pairs).map(([ours, theirs]) => ours - theirs))));
  const drawn = Array.from({ length: draws }, () =>
    difference((pairs) =>
      pairs.map(() => pairs[Math.floor(random() * pairs.length)] as [number, number]),
    ),
  ).sort((a, b) => a - b);
  const at = (share: number) => drawn[Math.round(share * (draws - 1))] as number;
  return { value: difference((pairs) => pairs), low: at(0.025), high: at(0.975) };
}
