import { meanRow } from "./means.ts";
import type { HeadAttention, LayerAttention } from "../engine/attention-watch.ts";

/** What tokens after a text's beginning attend to in it, in one kv head. Rows are queries, query head by query head. */
export class KeptHead {
  readonly #n: number;
  readonly #headDim: number;
  readonly #before: number;
  readonly #values: Float32Array;
  readonly #queries: Int32Array;

  constructor(
    private readonly attention: HeadAttention,
    layer: LayerAttention,
    { kvHead, before }: { readonly kvHead: number; readonly before: number },
  ) {
    this.#n = layer.n;
    this.#headDim = layer.headDim;
    this.#before = before;
    this.#values = layer.values(kvHead);
    this.#queries = layer.queries;
  }

  /** Weight of a row on a token. */
  #weight(row: number, token: number): number {
    return this.attention.weights[row * this.#n + token] as number;
  }

  /** What rows give to each token of the beginning, averaged: [before]. */
  meanOf(rows: readonly number[]): Float32Array {
    const { weights } = this.attention;
    const own = rows.map((row) => weights.subarray(row * this.#n, (row + 1) * this.#n));
    return meanRow(own, this.#before);
  }

  /** Squares of what attention's outputs lose with these tokens of the beginning alone, and of the whole outputs. */
  errorOf(kept: Int32Array, rows: readonly number[]): { lost: number; whole: number } {
    let lost = 0;
    let whole = 0;
    const sum = new Float64Array(this.#headDim);
    for (const row of rows) {
      sum.fill(0);
      let mass = 0;
      const take = (j: number) => {
        const w = this.#weight(row, j);
        mass += w;
        const at = j * sum.length;
        for (let d = 0; d < sum.length; d++) {
          sum[d] = (sum[d] as number) + w * (this.#values[at + d] as number);
        }
      };
      for (const j of kept) take(j);
      const last = this.#queries[row % this.#queries.length] as number;
      for (let j = this.#before; j <= last; j++) take(j);
      for (let d = 0; d < sum.length; d++) {
        const x = this.attention.outputs[row * sum.length + d] as number;
        lost += ((sum[d] as number) / mass - x) ** 2;
        whole += x * x;
      }
    }
    return { lost, whole };
  }
}
