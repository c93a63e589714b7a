type Numbers = readonly (number | boolean)[] | Float64Array;

/** The mean; 0 of nothing. */
export function mean(values: Numbers): number {
  let sum = 0;
  for (const x of values) sum += Number(x);
  return sum / Math.max(1, values.length);
}

const QUARTERS = 4;

/** The mean of each quarter. */
export function quarters(values: Numbers): number[] {
  const at = (part: number) => Math.floor((part / QUARTERS) * values.length);
  return Array.from({ length: QUARTERS }, (_, q) => mean(values.slice(at(q), at(q + 1))));
}
