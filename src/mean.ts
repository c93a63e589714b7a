/** The mean; 0 of nothing. */
export function mean(values: readonly (number | boolean)[]): number {
  return values.reduce<number>((sum, x) => sum + Number(x), 0) / Math.max(1, values.length);
}

const QUARTERS = 4;

/** The mean of each quarter. */
export function quarters(values: readonly (number | boolean)[]): number[] {
  const at = (part: number) => Math.floor((part / QUARTERS) * values.length);
  return Array.from({ length: QUARTERS }, (_, q) => mean(values.slice(at(q), at(q + 1))));
}
