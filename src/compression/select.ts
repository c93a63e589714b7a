import type { ResolvedOptions } from "./options.ts";

/** What is kept by force around the scored tokens. */
export type Forced = Pick<ResolvedOptions, "sinks" | "window">;

/**
 * The tokens to keep of `n`: the first `sinks`, the last `window`, and of the others those with the
 * highest scores, the lower position first on ties. Without scores the newest ones count as highest.
 *
 * @param scores one per token, or null
 * @returns `min(budget, n)` indices, ascending
 */
export function selectTokens(
  n: number,
  budget: number,
  scores: Float32Array | null,
  { sinks, window }: Forced,
): Int32Array {
  const kept = new Int32Array(Math.min(budget, n));
  if (budget >= n) return kept.map((_, i) => i);
  const first = Math.min(sinks, budget);
  const tail = Math.min(window, budget - first);
  const k = budget - first - tail;
  const [from, to] = [first, n - tail];

  let at = 0;
  for (let i = 0; i < first; i++) kept[at++] = i;
  if (scores === null) {
    for (let i = to - k; i < to; i++) kept[at++] = i;
  } else if (k > 0) {
    const threshold = kthLargest(scores.slice(from, to), k);
    let ties = k;
    for (let i = from; i < to; i++) if ((scores[i] as number) > threshold) ties--;
    for (let i = from; i < to; i++) {
      const score = scores[i] as number;
      if (score > threshold || (score === threshold && ties-- > 0)) kept[at++] = i;
    }
  }
  for (let i = to; i < n; i++) kept[at++] = i;
  return kept;
}

/** The k-th largest value by quickselect; reorders `values`. */
export function kthLargest(values: Float32Array, k: number): number {
  let low = 0;
  let high = values.length - 1;
  const target = k - 1;
  while (low < high) {
    const pivot = values[(low + high) >> 1] as number;
    let [i, j] = [low, high];
    while (i <= j) {
      while ((values[i] as number) > pivot) i++;
      while ((values[j] as number) < pivot) j--;
      if (i <= j) {
        const swap = values[i] as number;
        values[i++] = values[j] as number;
        values[j--] = swap;
      }
    }
    if (target <= j) high = j;
    else if (target >= i) low = i;
    else break;
  }
  return values[target] as number;
}
