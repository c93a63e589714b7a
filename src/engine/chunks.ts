/** A stretch of the tokens being prefilled. */
export interface Chunk {
  readonly first: number;
  readonly n: number;
  readonly isLast: boolean;
}

/** Splits `n` tokens into chunks of `size`; the last one may be shorter. */
export function chunksOf(n: number, size: number): Chunk[] {
  return Array.from({ length: Math.ceil(n / size) }, (_, i) => {
    const first = i * size;
    return { first, n: Math.min(size, n - first), isLast: first + size >= n };
  });
}
