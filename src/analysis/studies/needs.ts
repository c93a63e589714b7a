import type { AttentionRow, NextQueries, QueryRow, Study, StudyContext } from "../study.ts";

/** Largest relative errors of attention's output that are asked for. */
export const ERRORS = [0.01, 0.02, 0.05, 0.1] as const;
export const QUANTILES = [0.1, 0.5, 0.9] as const;

/** How many tokens attention needs to give what it gives with all of them. */
export interface Needs {
  /** ‖output with few keys − output with all‖ / ‖output with all‖, weights scaled to sum to 1 again. */
  readonly errors: readonly number[];
  /** Over queries and the query heads of a kv head. */
  readonly quantiles: readonly number[];
  /** The fewest of a query's own top keys that leave so large an error: [nLayer][nHeadKv][errors][quantiles]. */
  readonly own: readonly (readonly (readonly (readonly number[])[])[])[];
  /**
   * The fewest tokens of one set that leave so large an error for each of the text's last queries, besides the tokens
   * from the first of these on, which a cache has anyway. The set holds what these queries attend to most, all of them
   * and the query heads of a kv head together: no evicting cache can do much better. [nLayer][nHeadKv][errors][quantiles]
   */
  readonly shared: readonly (readonly (readonly (readonly number[])[])[])[];
}

/** How many tokens each layer and kv head needs. */
export function needs({ nLayer, nHeadKv, headDim }: StudyContext): Study<Needs> {
  const own = new Counts(nLayer, nHeadKv);
  const shared = new Counts(nLayer, nHeadKv);
  const walk = new OutputWalk(headDim);
  let longest = { values: new Float32Array(0) as Float32Array, norm: 0 };
  const longestOf = (values: Float32Array) => {
    if (longest.values !== values) longest = { values, norm: longestRow(values, headDim) };
    return longest.norm;
  };
  return {
    row: ({ il, kvHead, output, values, ranked: { weights, order } }: QueryRow) => {
      walk.start(output);
      const next = { weights, values, rows: order, ceilings: weights, longest: longestOf(values) };
      own.add(il, kvHead, walk.fewest(next));
    },
    next: ({ il, kvHead, before, rows, best }: NextQueries) => {
      const [{ values }] = rows as [AttentionRow];
      const weights = new Float32Array(before);
      const ceilings = new Float32Array(before);
      for (const row of rows) {
        walk.start(row.output);
        for (let j = before; j < row.weights.length; j++) {
          walk.take(row.weights[j] as number, values, j);
        }
        let most = 0;
        for (let k = before - 1; k >= 0; k--) {
          const weight = row.weights[best[k] as number] as number;
          weights[k] = weight;
          if (weight > most) most = weight;
          ceilings[k] = most;
        }
        const next = { weights, values, rows: best, ceilings, longest: longestOf(values) };
        shared.add(il, kvHead, walk.fewest(next));
      }
    },
    result: () => ({
      ...{ errors: ERRORS, quantiles: QUANTILES },
      ...{ own: own.quantiles(), shared: shared.quantiles() },
    }),
  };
}

/** The largest norm of a row of `values` [headDim, n]. */
function longestRow(values: Float32Array, headDim: number): number {
  let most = 0;
  for (let at = 0; at < values.length; at += headDim) {
    let squares = 0;
    for (let d = at; d < at + headDim; d++) squares += (values[d] as number) ** 2;
    if (squares > most) most = squares;
  }
  return Math.sqrt(most);
}

/** Keys in the order in which they are taken. */
interface KeyOrder {
  readonly weights: Float32Array;
  /** The largest weight from each place on. */
  readonly ceilings: Float32Array;
  /** [headDim, n], the row there of each key, and the largest norm of one. */
  readonly values: Float32Array;
  readonly rows: Int32Array;
  readonly longest: number;
}

/** Attention's output with one key more at a time. */
class OutputWalk {
  #output: Float32Array = new Float32Array(0);
  readonly #sum: Float64Array;
  #mass = 0;

  constructor(headDim: number) {
    this.#sum = new Float64Array(headDim);
  }

  start(output: Float32Array): void {
    this.#output = output;
    this.#sum.fill(0);
    this.#mass = 0;
  }

  /** Takes the value in a row of `values`. */
  take(weight: number, values: Float32Array, row: number): void {
    const sum = this.#sum;
    const at = row * sum.length;
    for (let d = 0; d < sum.length; d++) {
      sum[d] = (sum[d] as number) + weight * (values[at + d] as number);
    }
    this.#mass += weight;
  }

  /** How many keys must be taken for each of `ERRORS`; all where that is not enough. */
  fewest({ weights, ceilings, values, rows, longest }: KeyOrder): number[] {
    const n = weights.length;
    const norm = Math.sqrt(this.#output.reduce((sum, x) => sum + x * x, 0));
    const found = ERRORS.map(() => n);
    let left: number = ERRORS.length; // the largest errors are reached first
    for (let k = 0; ;) {
      const error = this.#error();
      while (left > 0 && error <= (ERRORS[left - 1] as number) * norm) found[--left] = k;
      if (left === 0 || k === n) return found;
      // One more key moves the output by no more than weight / mass · 2 · longest, so that the next error cannot be
      // reached before so many are taken.
      const step = ((ceilings[k] as number) / this.#mass) * 2 * longest;
      const far = (0.999 * (error - (ERRORS[left - 1] as number) * norm)) / step;
      const until = Math.min(n, k + Math.max(1, this.#mass > 0 ? Math.floor(far) : 1));
      for (; k < until; k++) this.take(weights[k] as number, values, rows[k] as number);
    }
  }

  /** ‖output with few − output with all‖ */
  #error(): number {
    const m = this.#mass;
    if (m === 0) return Infinity;
    let squares = 0;
    for (let d = 0; d < this.#sum.length; d++) {
      squares += ((this.#sum[d] as number) / m - (this.#output[d] as number)) ** 2;
    }
    return Math.sqrt(squares);
  }
}

/** Numbers of tokens, by layer, kv head and error. */
class Counts {
  readonly #all: number[][][][];

  constructor(nLayer: number, nHeadKv: number) {
    this.#all = Array.from({ length: nLayer }, () =>
      Array.from({ length: nHeadKv }, () => ERRORS.map(() => [])),
    );
  }

  add(il: number, kvHead: number, counts: readonly number[]): void {
    counts.forEach((k, i) => this.#all[il]?.[kvHead]?.[i]?.push(k));
  }

  quantiles(): number[][][][] {
    return this.#all.map((heads) =>
      heads.map((errors) =>
        errors.map((counts) => {
          const rising = counts.toSorted((a, b) => a - b);
          return QUANTILES.map((q) => rising[Math.floor(q * (rising.length - 1))] ?? 0);
        }),
      ),
    );
  }
}
