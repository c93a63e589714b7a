import type { QueryRow, Study, StudyContext } from "../study.ts";

/** Columns of a map. */
const COLUMNS = 128;
/** Columns that are named, of a layer, and the least share that they receive. */
const NAMED = 8;
const LEAST_SHARE = 0.01;

/** A token that much of a layer's attention goes to. */
export interface MassiveColumn {
  readonly il: number;
  /** Index in the text. */
  readonly position: number;
  /** Its text. */
  readonly token: string;
  /** What sampled queries from it on give it, averaged over them and the heads. */
  readonly share: number;
  /** Query heads that give it at least a tenth of their attention. */
  readonly heads: number;
}

/** Pictures of attention: small, but no thin column is lost in them. */
export interface AttentionMaps {
  /** Indices of the sampled queries: the rows of all maps. */
  readonly queries: readonly number[];
  /** Columns of a map, and the tokens of each. */
  readonly columns: number;
  readonly stretch: number;
  /** The largest weight of each column's tokens, [columns, queries], of each head: [nLayer][nHead]. */
  readonly maps: readonly (readonly Float32Array[])[];
  /** At most 8 columns of each layer, those that receive the most first, among the tokens that half of the queries see. */
  readonly massive: readonly MassiveColumn[];
}

/** What each head attends to, made small. */
export function maps(context: StudyContext): Study<AttentionMaps> {
  const { nLayer, nHead, n, sample } = context;
  const queries = sample.spread.map((at) => sample.queries[at] as number);
  const stretch = Math.ceil(n / COLUMNS);
  const columns = Math.ceil(n / stretch);
  const rowOf = new Map(queries.map((query, row) => [query, row]));
  const layers = Array.from({ length: nLayer }, () =>
    Array.from({ length: nHead }, () => new Float32Array(columns * queries.length)),
  );
  const received = new Received(context, queries);
  return {
    row: ({ il, head, query, weights }: QueryRow) => {
      const first = (rowOf.get(query) as number) * columns;
      const map = layers[il]?.[head] as Float32Array;
      for (let j = 0; j < weights.length; j++) {
        const at = first + Math.floor(j / stretch);
        map[at] = Math.max(map[at] as number, weights[j] as number);
      }
      received.add(il, head, weights);
    },
    result: () => ({ queries, columns, stretch, maps: layers, massive: received.massive() }),
  };
}

/** What the tokens receive, a layer after the other. */
class Received {
  /** [n] of each query head of the layer at hand. */
  readonly #sums: Float64Array[];
  /** Queries that see each token. */
  readonly #seenBy: Float64Array;
  #il = 0;
  readonly #massive: MassiveColumn[] = [];

  constructor(
    private readonly context: StudyContext,
    queries: readonly number[],
  ) {
    const { nHead, n } = context;
    this.#sums = Array.from({ length: nHead }, () => new Float64Array(n));
    this.#seenBy = new Float64Array(n);
    for (const query of queries) {
      for (let j = 0; j <= query; j++) this.#seenBy[j] = (this.#seenBy[j] as number) + 1;
    }
  }

  add(il: number, head: number, weights: Float32Array): void {
    if (il !== this.#il) this.#finishLayer(il);
    const sums = this.#sums[head] as Float64Array;
    for (let j = 0; j < weights.length; j++) {
      sums[j] = (sums[j] as number) + (weights[j] as number);
    }
  }

  massive(): MassiveColumn[] {
    this.#finishLayer(this.#il + 1);
    return this.#massive;
  }

  #finishLayer(nextLayer: number): void {
    const shares = Array.from(this.#seenBy, (count, position) => {
      const received = this.#sums.map((sums) => (sums[position] as number) / (count || 1));
      const share = received.reduce((a, b) => a + b, 0) / received.length;
      return { il: this.#il, position, share, heads: received.filter((x) => x >= 0.1).length };
    });
    const least = this.#leastSeen();
    const large = shares.filter(
      ({ share, position }) => share >= LEAST_SHARE && (this.#seenBy[position] as number) >= least,
    );
    const largest = large.sort((a, b) => b.share - a.share).slice(0, NAMED);
    const { tokenText } = this.context;
    this.#massive.push(
      ...largest.map((column) => ({ ...column, token: tokenText(column.position) })),
    );
    for (const sums of this.#sums) sums.fill(0);
    this.#il = nextLayer;
  }

  /** What few queries give to the newest tokens says little: half of them must see a token. */
  #leastSeen(): number {
    return (this.#seenBy[0] as number) / 2;
  }
}
