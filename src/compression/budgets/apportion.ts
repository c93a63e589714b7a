/**
 * Whole numbers near `shares` that sum exactly to `total`, by the largest-remainder rule; the lower
 * index wins a tie.
 *
 * @param shares non-negative numbers whose sum is `total`, up to rounding errors
 * @param caps what each may be at most, where there is such a limit; their sum is at least `total`
 */
export function apportion(
  shares: readonly number[],
  total: number,
  caps?: readonly number[],
): number[] {
  // Rounding errors must not turn 91.99999999 into 91 with a remainder that wins.
  const tidy = shares.map((s) => Math.round(s * 1e9) / 1e9);
  const cap = (i: number) => caps?.[i] ?? Infinity;
  const whole = tidy.map((s, i) => Math.min(cap(i), Math.floor(s)));
  let left = total - whole.reduce((a, b) => a + b, 0);
  const byRemainder = tidy
    .map((share, i) => ({ i, remainder: share - (whole[i] as number) }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  // More than one round only where caps leave some without room.
  while (left > 0) {
    for (const { i } of byRemainder) {
      if (left === 0 || (whole[i] as number) >= cap(i)) continue;
      whole[i] = (whole[i] as number) + 1;
      left--;
    }
  }
  return whole;
}
