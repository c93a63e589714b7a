/** One kv head of one layer: where its rows lie and which tokens they hold. */
export class HeadCache {
  /** True positions of the cached tokens, ascending. */
  #positions: Int32Array;

  constructor(
    /** First row of this head in the layer's K and V tensors. */
    readonly row: number,
    /** Rows that this head may fill. */
    readonly capacity: number,
    positions: Int32Array,
  ) {
    this.#positions = new Int32Array(capacity);
    this.#positions.set(positions);
    this.#length = positions.length;
  }

  #length: number;

  /** Tokens held. */
  get length(): number {
    return this.#length;
  }

  /** A copy of the true positions of the tokens held, ascending. */
  get positions(): Int32Array {
    return this.#positions.slice(0, this.#length);
  }

  /** Notes that the first rows now hold the tokens at these positions, ascending, and no others. */
  replace(positions: Int32Array): void {
    this.#positions.set(positions);
    this.#length = positions.length;
  }

  /** Notes that the token at `position` was written to the next free row. */
  append(position: number): void {
    this.#positions[this.#length++] = position;
  }
}
