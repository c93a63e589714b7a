import { readTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { HeadRows, RowSource } from "./rows.ts";

/** Evicted tokens that are compared with the kept ones at a time. */
const BLOCK = 4096;
const EPSILON = 1e-6;

export interface Merging {
  /** How much an evicted value counts beside a kept one's 1. */
  readonly weight: number;
  readonly headDim: number;
}

/**
 * The values of the rows kept, one head after the other: f32 [headDim, rows of all heads]. Each evicted value is
 * averaged into that of the kept token whose key is most like its own, by cosine.
 */
export async function mergedValues(
  source: RowSource,
  heads: readonly HeadRows[],
  merging: Merging,
): Promise<Float32Array> {
  const { headDim } = merging;
  const merged = new Float32Array(heads.reduce((sum, { rows }) => sum + rows.length, 0) * headDim);
  let at = 0;
  for (const head of heads) {
    if (head.rows.length > 0) merged.set(await mergedHead(source, head, merging), at);
    at += head.rows.length * headDim;
  }
  return merged;
}

async function mergedHead(
  source: RowSource,
  { rows: kept, evicted = new Int32Array(0) }: HeadRows,
  { weight, headDim }: Merging,
): Promise<Float32Array> {
  const nearest = new Int32Array(evicted.length);
  const read = (t: Tensor, n: number) => readTensor(t, new Float32Array(n * headDim));
  const { values, others } = await source.device.run((g) => {
    const rowsOf = (of: Tensor, at: Int32Array) =>
      g.getRows(of, g.constant(TYPES.i32, [at.length], at));
    const directions = g.rmsNorm(rowsOf(source.k, kept), EPSILON);
    const places: Tensor[] = [];
    for (let at = 0; at < evicted.length; at += BLOCK) {
      const keys = rowsOf(source.k, evicted.subarray(at, at + BLOCK));
      places.push(g.output(g.argmax(g.mulMat(directions, keys))));
    }
    const keptValues = g.output(rowsOf(source.v, kept));
    const theirs = evicted.length > 0 ? g.output(rowsOf(source.v, evicted)) : undefined;
    return () => {
      places.forEach((t, i) => readTensor(t, nearest.subarray(i * BLOCK, (i + 1) * BLOCK)));
      return {
        values: read(keptValues, kept.length),
        others: theirs && read(theirs, evicted.length),
      };
    };
  });
  if (others !== undefined) averageInto(values, others, nearest, { weight, headDim });
  return values;
}

/** Each row of `kept` becomes the mean of itself, counted once, and of the `others` that go to it, each by `weight`. */
export function averageInto(
  kept: Float32Array,
  others: Float32Array,
  nearest: Int32Array,
  { weight, headDim }: Merging,
): void {
  const weights = new Float32Array(kept.length / headDim).fill(1);
  nearest.forEach((to, i) => {
    weights[to] = (weights[to] as number) + weight;
    for (let d = 0; d < headDim; d++) {
      const at = to * headDim + d;
      kept[at] = (kept[at] as number) + weight * (others[i * headDim + d] as number);
    }
  });
  for (let at = 0; at < kept.length; at++) {
    kept[at] = (kept[at] as number) / (weights[Math.floor(at / headDim)] as number);
  }
}
