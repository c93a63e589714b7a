import { longestRow, OutputWalk } from "../output-walk.ts";
import { RelativeErrors } from "../relative-errors.ts";
import type { AttentionRow, NextQueries, QueryRow, Study, StudyContext } from "../study.ts";

/** Largest relative errors of attention's output that are asked for. */
const ERRORS = [0.01, 0.02, 0.05, 0.1] as const;
const QUANTILES = [0.1, 0.5, 0.9] as const;
/** Sizes of sets that errors are told of, where there are more tokens: none, and four to each doubling from 8 to 2,048. */
const SIZES = [0, ...Array.from({ length: 33 }, (_, i) => Math.round(8 * 2 ** (i / 4)))];
/** One of this many of the last queries counts for these errors. */
const STEP = 4;

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
  /** Sizes of sets, 0 to all tokens before the text's last ones. */
  readonly sizes: readonly number[];
  /**
   * The error that is left of a kv head's outputs with its best set of each size, besides those from the last
   * queries on: over its query heads, and every fourth of these queries. [nLayer][nHeadKv][sizes]
   */
  readonly left: readonly (readonly (readonly number[])[])[];
}

/** How many tokens each layer and kv head needs. */
export function needs({ nLayer, nHead, nHeadKv, headDim, n, sample }: StudyContext): Study<Needs> {
  const group = nHead / nHeadKv;
  const counted = n - sample.next.length;
  const sizes = SIZES.filter((size) => size < counted);
  const counts = new Counts(nLayer, nHeadKv);
  const shared = new Counts(nLayer, nHeadKv);
  const left = new RelativeErrors(nLayer * nHeadKv, sizes.length + 1);
  const walk = new OutputWalk(headDim);
  let longest = { values: new Float32Array(0) as Float32Array, norm: 0 };
  const longestOf = (values: Float32Array) => {
    if (longest.values !== values) longest = { values, norm: longestRow(values, headDim) };
    return longest.norm;
  };
  return {
    row: ({ il, kvHead, output, values, ranked: { weights, order } }: QueryRow) => {
      walk.start(output);
      const next = { weights, values, rows: order, longest: longestOf(values) };
      counts.add(il, kvHead, walk.fewest(ERRORS, next));
    },
    next: ({ il, kvHead, before, rows, best }: NextQueries) => {
      const [{ values }] = rows as [AttentionRow];
      const weights = new Float32Array(before);
      const begin = (row: AttentionRow) => {
        walk.start(row.output);
        for (let j = before; j < row.weights.length; j++) {
          walk.take(row.weights[j] as number, values, j);
        }
      };
      rows.forEach((row, at) => {
        for (let k = 0; k < before; k++) weights[k] = row.weights[best[k] as number] as number;
        begin(row);
        const next = { weights, values, rows: best, longest: longestOf(values) };
        shared.add(il, kvHead, walk.fewest(ERRORS, next));
        if (Math.floor(at / group) % STEP !== 0) return;
        begin(row);
        left.add(il * nHeadKv + kvHead, [...walk.errorsAt(sizes, next), 0], walk.norm); // nothing is lost with all
      });
    },
    result: () => {
      const errors = left.result();
      return {
        errors: ERRORS,
        quantiles: QUANTILES,
        own: counts.quantiles(),
        shared: shared.quantiles(),
        sizes: [...sizes, counted],
        left: Array.from({ length: nLayer }, (_, il) =>
          errors.slice(il * nHeadKv, (il + 1) * nHeadKv),
        ),
      };
    },
  };
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
