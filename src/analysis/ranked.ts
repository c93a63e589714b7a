const BITS = 10;
const BUCKETS = 1 << BITS;

/** Weights in falling order, and whose they are. Of use until the next ones are ranked. */
export interface Ranked {
  /** Indices into what was ranked; equal weights keep their order. */
  readonly order: Int32Array;
  readonly weights: Float32Array;
}

/** Sums of the first k, for k from 0 on. */
export function prefixSums(weights: Float32Array): Float64Array {
  const sums = new Float64Array(weights.length + 1);
  for (let i = 0; i < weights.length; i++) {
    sums[i + 1] = (sums[i] as number) + (weights[i] as number);
  }
  return sums;
}

/**
 * Ranks weights of 0 to 2 by a radix sort of their bits, which rise with their values: three passes instead of the
 * comparisons of a sort, since a study ranks tens of thousands of rows.
 */
export class Ranker {
  #keys: [Uint32Array, Uint32Array];
  #order: [Int32Array, Int32Array];
  #weights: Float32Array;
  readonly #counts = new Uint32Array(BUCKETS);

  constructor(private length = 0) {
    this.#keys = [new Uint32Array(length), new Uint32Array(length)];
    this.#order = [new Int32Array(length), new Int32Array(length)];
    this.#weights = new Float32Array(length);
  }

  rank(weights: Float32Array): Ranked {
    const n = weights.length;
    if (n > this.length) {
      this.length = n;
      this.#keys = [new Uint32Array(n), new Uint32Array(n)];
      this.#order = [new Int32Array(n), new Int32Array(n)];
      this.#weights = new Float32Array(n);
    }
    const bits = new Uint32Array(weights.buffer, weights.byteOffset, n);
    let [keys, otherKeys] = this.#keys;
    let [order, otherOrder] = this.#order;
    for (let i = 0; i < n; i++) {
      keys[i] = 0x3fffffff - (bits[i] as number); // the largest first
      order[i] = i;
    }
    for (let shift = 0; shift < 3 * BITS; shift += BITS) {
      this.#pass(keys, order, otherKeys, otherOrder, n, shift);
      [keys, otherKeys, order, otherOrder] = [otherKeys, keys, otherOrder, order];
    }
    for (let i = 0; i < n; i++) this.#weights[i] = weights[order[i] as number] as number;
    return { order: order.subarray(0, n), weights: this.#weights.subarray(0, n) };
  }

  #pass(
    keys: Uint32Array,
    order: Int32Array,
    toKeys: Uint32Array,
    toOrder: Int32Array,
    n: number,
    shift: number,
  ): void {
    const counts = this.#counts.fill(0);
    for (let i = 0; i < n; i++) {
      const bucket = ((keys[i] as number) >>> shift) & (BUCKETS - 1);
      counts[bucket] = (counts[bucket] as number) + 1;
    }
    let before = 0;
    for (let b = 0; b < BUCKETS; b++) {
      const count = counts[b] as number;
      counts[b] = before;
      before += count;
    }
    for (let i = 0; i < n; i++) {
      const key = keys[i] as number;
      const bucket = (key >>> shift) & (BUCKETS - 1);
      const at = counts[bucket] as number;
      counts[bucket] = at + 1;
      toKeys[at] = key;
      toOrder[at] = order[i] as number;
    }
  }
}
