import type { HeadEvidence, LayerEvidence, SummedKind } from "../../compression/evidence.ts";
import { ACCUMULATIONS, type AccumulatedKind } from "./accumulators.ts";

/** What of a method's needs is summed over queries, and so goes on while tokens are decoded. */
export function summedKinds(needs: readonly string[]): SummedKind[] {
  const kinds = Object.keys(ACCUMULATIONS) as AccumulatedKind[];
  return kinds.filter((kind): kind is SummedKind => kind !== "peaks" && needs.includes(kind));
}

/** The tokens that a head holds, and how many of the last queries were asked what they attend to. */
export interface AskedTokens {
  readonly positions: Int32Array;
  readonly nextPosition: number;
  readonly nNew: number;
}

/** What the tokens of one kv head received. */
interface HeadSums {
  readonly n: number;
  /** [n, group] each */
  readonly sums: ReadonlyMap<SummedKind, Float32Array>;
  /** By kind, how many of the summed queries could add to each token: [n]. */
  readonly counted: ReadonlyMap<SummedKind, Float32Array>;
}

/**
 * What the tokens in a cache received since the last prompt began, so that sums go on from there. Where a prompt asks
 * a part of its queries only, a decoded one counts as that part of a query.
 */
export class Received {
  readonly #layers: HeadSums[][] = [];

  constructor(private readonly kinds: readonly SummedKind[]) {}

  /** Takes over what a layer showed of the tokens kept: indices into each head's own, ascending. */
  adopt({ il, heads }: LayerEvidence, kept: readonly Int32Array[]): void {
    if (this.kinds.length === 0) return;
    this.#layers[il] = heads.map((head, h) => picked(this.#read(head), kept[h] as Int32Array));
  }

  /** Keeps a part of the tokens adopted. */
  pick(il: number, kept: readonly Int32Array[]): void {
    const layer = this.#layers[il];
    if (layer === undefined) return;
    this.#layers[il] = layer.map((head, h) => picked(head, kept[h] as Int32Array));
  }

  /** What a head's `n` tokens received, [n, group]: before, and `now` from later queries. */
  sum(
    kind: SummedKind,
    il: number,
    kvHead: number,
    { n, group }: Pick<HeadEvidence, "n" | "group">,
    now?: Float32Array,
  ): Float32Array {
    const { share } = ACCUMULATIONS[kind];
    const out = now?.map((x) => x * share) ?? new Float32Array(n * group);
    const before = this.#layers[il]?.[kvHead];
    const sums = before?.sums.get(kind);
    if (before === undefined || sums === undefined) return out;
    for (let i = 0; i < group; i++) {
      for (let j = 0; j < before.n; j++) {
        const at = i * n + j;
        out[at] = (out[at] as number) + (sums[i * before.n + j] as number);
      }
    }
    return out;
  }

  /** How many of the summed queries could add to each token that a head holds; the last ones are not counted yet. */
  counted(kind: SummedKind, il: number, kvHead: number, asked: AskedTokens): Float32Array {
    const before = this.#layers[il]?.[kvHead]?.counted.get(kind);
    const { distance, share } = ACCUMULATIONS[kind];
    return Float32Array.from(asked.positions, (position, j) => {
      const far = asked.nextPosition - position - distance;
      const now = Math.min(asked.nNew, Math.max(0, far));
      return (before?.[j] ?? 0) + now * share;
    });
  }

  #read(head: HeadEvidence): HeadSums {
    return {
      n: head.n,
      sums: new Map(this.kinds.map((kind) => [kind, head.attention(kind)])),
      counted: new Map(this.kinds.map((kind) => [kind, head.counted(kind)])),
    };
  }
}

function picked({ n, sums, counted }: HeadSums, kept: Int32Array): HeadSums {
  const of = (values: Float32Array) => {
    const group = values.length / n;
    const out = new Float32Array(kept.length * group);
    for (let i = 0; i < group; i++) {
      kept.forEach((j, at) => (out[i * kept.length + at] = values[i * n + j] as number));
    }
    return out;
  };
  return {
    n: kept.length,
    sums: new Map(Array.from(sums, ([kind, values]) => [kind, of(values)])),
    counted: new Map(Array.from(counted, ([kind, values]) => [kind, of(values)])),
  };
}
