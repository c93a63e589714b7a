import { mean } from "../mean.ts";

/** How alike what a way keeps is. */
export interface Overlaps {
  /** Kept tokens that two layers share, over those that either keeps, averaged over kv heads: [nLayer][nLayer]. */
  readonly layerOverlap: readonly (readonly number[])[];
  /** The same for the kv heads of a layer, averaged over pairs; 1 where there is one: [nLayer]. */
  readonly headOverlap: readonly number[];
}

/** Share of the tokens kept by either that both keep. Positions ascend. */
function jaccard(a: Int32Array, b: Int32Array): number {
  let both = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const [x, y] = [a[i] as number, b[j] as number];
    if (x === y) both++;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  return both / (a.length + b.length - both);
}

/** The same of two layers, head by head. */
function shared(a: readonly Int32Array[], b: readonly Int32Array[] | undefined): number {
  return mean(a.map((positions, h) => jaccard(positions, b?.[h] as Int32Array)));
}

/** How alike the layers and heads of one way are. */
export function overlaps(kept: readonly (readonly Int32Array[])[]): Overlaps {
  return {
    layerOverlap: kept.map((a) => kept.map((b) => shared(a, b))),
    headOverlap: kept.map((heads) => {
      const pairs = heads.flatMap((a, i) => heads.slice(i + 1).map((b) => jaccard(a, b)));
      return pairs.length === 0 ? 1 : mean(pairs);
    }),
  };
}

/** How alike ways are, averaged over layers and kv heads: [ways][ways], of [ways][nLayer][nHeadKv] positions. */
export function waysOverlap(ways: readonly (readonly (readonly Int32Array[])[])[]): number[][] {
  return ways.map((a) => ways.map((b) => mean(a.map((heads, il) => shared(heads, b[il])))));
}
