/** The largest norm of a row of `values` [headDim, n]. */
export function longestRow(values: Float32Array, headDim: number): number {
  let most = 0;
  for (let at = 0; at < values.length; at += headDim) {
    let squares = 0;
    for (let d = at; d < at + headDim; d++) squares += (values[d] as number) ** 2;
    if (squares > most) most = squares;
  }
  return Math.sqrt(most);
}

/** Keys in the order in which they are taken. */
export interface KeyOrder {
  readonly weights: Float32Array;
  /** [headDim, n], the row there of each key, and the largest norm of one. */
  readonly values: Float32Array;
  readonly rows: Int32Array;
  readonly longest: number;
}

/** Attention's output with one key more at a time. */
export class OutputWalk {
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

  /** ‖output with all‖ */
  get norm(): number {
    return Math.hypot(...this.#output);
  }

  /** ‖output with few − output with all‖ after each of a rising number of keys; before the first, the norm. */
  errorsAt(sizes: readonly number[], { weights, values, rows }: KeyOrder): number[] {
    let k = 0;
    return sizes.map((size) => {
      const until = Math.min(size, weights.length);
      for (; k < until; k++) this.take(weights[k] as number, values, rows[k] as number);
      return this.#mass > 0 ? this.error : this.norm;
    });
  }

  /** How many keys must be taken for each of some rising errors, relative to the norm; all where that is not enough. */
  fewest(errors: readonly number[], { weights, values, rows, longest }: KeyOrder): number[] {
    const n = weights.length;
    const { norm } = this;
    const found = errors.map(() => n);
    let left = errors.length; // the largest errors are reached first
    for (let k = 0; ;) {
      const error = this.error;
      while (left > 0 && error <= (errors[left - 1] as number) * norm) found[--left] = k;
      if (left === 0 || k === n) return found;
      // Keys move the output by no more than their share of the mass · 2 · longest, so that the next error cannot be
      // reached before so much mass is taken.
      const slack = error - (errors[left - 1] as number) * norm;
      const far = this.#mass > 0 ? this.#mass + (0.999 * slack * this.#mass) / (2 * longest) : 0;
      do this.take(weights[k] as number, values, rows[k++] as number);
      while (k < n && this.#mass < far);
    }
  }

  /** ‖output with the keys that were taken − output with all‖; infinite where no mass was. */
  get error(): number {
    const m = this.#mass;
    if (m === 0) return Infinity;
    let squares = 0;
    for (let d = 0; d < this.#sum.length; d++) {
      squares += ((this.#sum[d] as number) / m - (this.#output[d] as number)) ** 2;
    }
    return Math.sqrt(squares);
  }
}
