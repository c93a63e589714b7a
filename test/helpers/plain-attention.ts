/** How logits become weights, in plain numbers. */
export interface PlainSoftmax {
  readonly scale: number;
  readonly softcap?: number | undefined;
  /** The logit of this query head that takes weight which no token gets. */
  readonly sinkLogit?: number | undefined;
  /** Keys that a query sees, its own included. */
  readonly window?: number | undefined;
}

/** The weights of query `i` over keys 0 … i, 0 before its window. In f64. */
export function plainWeights(
  query: ArrayLike<number>,
  keys: readonly ArrayLike<number>[],
  i: number,
  { scale, softcap, sinkLogit = -Infinity, window = Infinity }: PlainSoftmax,
): number[] {
  const logits = Array.from({ length: i + 1 }, (_, j) => {
    if (i - j >= window) return -Infinity;
    const x = scale * dot(query, keys[j] as ArrayLike<number>);
    return softcap === undefined ? x : softcap * Math.tanh(x / softcap);
  });
  const most = Math.max(sinkLogit, ...logits);
  const weights = logits.map((x) => Math.exp(x - most));
  const total = weights.reduce((a, b) => a + b, Math.exp(sinkLogit - most));
  return weights.map((w) => w / total);
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let d = 0; d < a.length; d++) sum += (a[d] as number) * (b[d] as number);
  return sum;
}
