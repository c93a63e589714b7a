import type { HeadAttention, LayerAttention } from "../engine/observe/attention-observer.ts";
import { meanRow } from "./means.ts";
import { OutputWalk } from "./output-walk.ts";

/** What tokens after a text's beginning attend to in it, in one kv head. Rows are queries, query head by query head. */
export class KeptHead {
  readonly #walk: OutputWalk;
  readonly #values: Float32Array;

  constructor(
    private readonly attention: HeadAttention,
    private readonly layer: LayerAttention,
    private readonly place: { readonly kvHead: number; readonly before: number },
  ) {
    this.#walk = new OutputWalk(layer.headDim);
    this.#values = layer.values(place.kvHead);
  }

  /** A row's weights: [n]. */
  #weights(row: number): Float32Array {
    const { n } = this.layer;
    return this.attention.weights.subarray(row * n, (row + 1) * n);
  }

  /** What rows give to each token of the beginning, averaged: [before]. */
  meanOf(rows: readonly number[]): Float32Array {
    return meanRow(
      rows.map((row) => this.#weights(row)),
      this.place.before,
    );
  }

  /** ‖output with these tokens of the beginning alone − whole output‖ of a row, and ‖whole output‖. */
  errorOf(kept: Int32Array, row: number): { readonly error: number; readonly norm: number } {
    const { headDim, queries } = this.layer;
    const walk = this.#walk;
    const weights = this.#weights(row);
    walk.start(this.attention.outputs.subarray(row * headDim, (row + 1) * headDim));
    const take = (j: number) => {
      walk.take(weights[j] as number, this.#values, j);
    };
    kept.forEach(take);
    const last = queries[row % queries.length] as number;
    for (let j = this.place.before; j <= last; j++) take(j);
    return { error: walk.error, norm: walk.norm };
  }
}
