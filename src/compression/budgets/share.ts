import { apportion } from "./apportion.ts";

/**
 * Divides `total` whole tokens: each gets `least` and a part of the rest by its weight, never more than its
 * cap; what a capped one cannot take goes to the others by their weights. The sum is exactly
 * `min(total, Σ caps)`, by the largest-remainder rule, the lower index first on ties.
 *
 * @param weights not negative; all zero counts as all equal
 */
export function share(
  total: number,
  weights: readonly number[],
  least: number,
  caps: readonly number[],
): number[] {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const goal = Math.min(total, sum(caps));
  const floor = Math.min(least, Math.floor(goal / weights.length));
  const base = caps.map((cap) => Math.min(cap, floor));
  const usable = sum(weights) > 0 ? weights : weights.map(() => 1);

  // Fill up those whose part exceeds their cap until no more do.
  const exact = [...base];
  let open = caps.flatMap((cap, i) => (cap > (base[i] as number) ? [i] : []));
  for (;;) {
    const weight = sum(open.map((i) => usable[i] as number));
    const isOpen = new Set(open);
    const rest = goal - sum(exact.map((b, i) => (isOpen.has(i) ? (base[i] as number) : b)));
    for (const i of open) {
      const part = weight > 0 ? (usable[i] as number) / weight : 1 / open.length;
      exact[i] = (base[i] as number) + rest * part;
    }
    const full = open.filter((i) => (exact[i] as number) >= (caps[i] as number));
    if (full.length === 0) break;
    for (const i of full) exact[i] = caps[i] as number;
    open = open.filter((i) => !full.includes(i));
    if (open.length === 0) break;
  }
  return apportion(exact, goal, caps);
}
