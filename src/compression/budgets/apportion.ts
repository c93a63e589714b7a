/**
 * Whole numbers near `shares` that sum exactly to `total`, by the largest-remainder rule; the lower
 * index wins a tie.
 *
 * @param shares non-negative numbers whose sum is `total` but for rounding errors
 */
export function apportion(shares: readonly number[], total: number): number[] {
  // Rounding errors must not turn 91.99999999 into 91 with a remainder that wins.
  const tidy = shares.map((s) => Math.round(s * 1e9) / 1e9);
  const whole = tidy.map(Math.floor);
  const left = total - whole.reduce((a, b) => a + b, 0);
  const byRemainder = tidy
    .map((share, i) => ({ i, remainder: share - Math.floor(share) }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  for (const { i } of byRemainder.slice(0, left)) whole[i] = (whole[i] ?? 0) + 1;
  return whole;
}
