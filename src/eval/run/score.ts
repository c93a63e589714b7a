import { METRICS, type MetricName, type Truth } from "../metrics.ts";
import { round2 } from "../metrics/python-text.ts";

/** What predictions can be scored for. */
export interface ScoredTask {
  readonly metric: MetricName;
  /** Whether only a prediction's first line is scored. */
  readonly firstLine?: boolean | undefined;
}

/** A prediction's score, 0 to 1. */
export function scoreOf(
  { metric, firstLine }: ScoredTask,
  prediction: string,
  truth: Truth,
): number {
  // As published: newlines before the line do not count as lines.
  const text =
    firstLine === true ? (prediction.replace(/^\n+/, "").split("\n")[0] as string) : prediction;
  return METRICS[metric].score(text, truth);
}

/** The score of a dataset: the mean in percent, rounded to hundredths as LongBench and RULER do; none of none. */
export function meanScore(scores: readonly number[]): number | undefined {
  if (scores.length === 0) return undefined;
  return round2((100 * scores.reduce((sum, score) => sum + score, 0)) / scores.length);
}

/** LongBench-E's three means, by the length of the context in words. */
export function meansByLength(
  scores: readonly number[],
  lengths: readonly number[],
): Readonly<Record<"0-4k" | "4-8k" | "8k+", number | undefined>> {
  const within = (from: number, to: number) =>
    meanScore(scores.filter((_, i) => (lengths[i] ?? NaN) >= from && (lengths[i] ?? NaN) < to));
  return {
    "0-4k": within(-Infinity, 4000),
    "4-8k": within(4000, 8000),
    "8k+": within(8000, Infinity),
  };
}
