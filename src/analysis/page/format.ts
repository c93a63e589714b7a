/** `79.7 %` */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** `0, 3–5`: ascending numbers, those in a row together. */
export function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const x of numbers) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === x - 1) last[1] = x;
    else runs.push([x, x]);
  }
  return runs.map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`)).join(", ");
}
