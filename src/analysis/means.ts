import { mean } from "../mean.ts";

/** Averages of rows of numbers, one row a layer and head. */
export class Means {
  readonly #sums: Float64Array[][];
  readonly #counts: number[][];

  constructor(nLayer: number, nHead: number, width: number) {
    const each = <T>(make: () => T) =>
      Array.from({ length: nLayer }, () => Array.from({ length: nHead }, make));
    this.#sums = each(() => new Float64Array(width));
    this.#counts = each(() => 0);
  }

  /** Adds one observation: [width]. */
  add(il: number, head: number, values: readonly number[]): void {
    const sums = this.next(il, head);
    values.forEach((x, i) => (sums[i] = (sums[i] as number) + x));
  }

  /** The sums of a head, to be added to, for one more observation. */
  next(il: number, head: number): Float64Array {
    const counts = this.#counts[il] as number[];
    counts[head] = (counts[head] as number) + 1;
    return (this.#sums[il] as Float64Array[])[head] as Float64Array;
  }

  /** [nLayer][nHead][width] */
  means(): number[][][] {
    return this.#sums.map((heads, il) =>
      heads.map((sums, head) =>
        Array.from(sums, (sum) => sum / Math.max(1, this.#counts[il]?.[head] ?? 0)),
      ),
    );
  }
}

/** Averages over the heads of each layer: [nLayer][nHead][width] to [nLayer][width]. */
export function overHeads(layers: readonly (readonly (readonly number[])[])[]): number[][] {
  return layers.map((heads) => {
    const [first = []] = heads;
    return first.map((_, i) => mean(heads.map((head) => head[i] as number)));
  });
}

/** The one number of each head: [nLayer][nHead][1] to [nLayer][nHead]. */
export function single(layers: readonly (readonly (readonly number[])[])[]): number[][] {
  return layers.map((heads) => heads.map(([x]) => x as number));
}

/** What several rows of weights give to each of the first `n` keys, averaged: [n]. */
export function meanRow(rows: readonly Float32Array[], n: number): Float32Array {
  const means = new Float32Array(n);
  for (const row of rows) {
    for (let j = 0; j < n; j++) means[j] = (means[j] as number) + (row[j] as number) / rows.length;
  }
  return means;
}
