/** The largest difference of two equally long arrays; infinite where they are not, or hold no numbers. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  return Array.from(a).reduce((most, x, i) => {
    const difference = Math.abs(x - (b[i] as number));
    return Number.isNaN(difference) ? Infinity : Math.max(most, difference);
  }, 0);
}
