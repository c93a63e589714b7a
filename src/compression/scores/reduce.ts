import type { GqaReduce, Pool } from "../options.ts";

/** Scores of `nHead` query heads over `n` tokens, head after head: ggml's [n, nHead]. */
export interface HeadScores {
  readonly values: Float32Array;
  readonly n: number;
  readonly nHead: number;
  readonly nHeadKv: number;
}

/** One score per token for a kv head, from the query heads that share it. */
export function reduceGroup(s: HeadScores, kvHead: number, reduce: GqaReduce): Float32Array {
  const size = s.nHead / s.nHeadKv;
  const out = new Float32Array(s.n);
  for (let i = 0; i < s.n; i++) {
    let value = reduce === "max" ? -Infinity : 0;
    for (let g = 0; g < size; g++) {
      const score = s.values[(kvHead * size + g) * s.n + i] as number;
      value = reduce === "max" ? Math.max(value, score) : value + score;
    }
    out[i] = reduce === "max" ? value : value / size;
  }
  return out;
}

/**
 * Pools `values[from, to)` over `kernel` neighbours with stride 1, as `torch.nn.functional` does:
 * outside the range counts as 0 for the mean (always divided by `kernel`) and as −∞ for the maximum.
 * Values outside the range stay.
 */
export function pool(
  values: Float32Array,
  from: number,
  to: number,
  kind: Pool,
  kernel: number,
): Float32Array {
  const out = values.slice();
  const half = (kernel - 1) / 2;
  for (let i = from; i < to; i++) {
    const [first, last] = [Math.max(from, i - half), Math.min(to - 1, i + half)];
    let value = kind === "max" ? -Infinity : 0;
    for (let j = first; j <= last; j++) {
      const v = values[j] as number;
      value = kind === "max" ? Math.max(value, v) : value + v;
    }
    out[i] = kind === "max" ? value : value / kernel;
  }
  return out;
}
