import type { AttentionKind, HeadEvidence } from "../evidence.ts";
import type { GqaReduce, Pool, ResolvedOptions } from "../options.ts";

/** One score per token from those of the query heads that share the kv head: `values` [n, group] → [n]. */
export function reduceGroup(values: Float32Array, n: number, reduce: GqaReduce): Float32Array {
  const out = values.slice(0, n);
  for (let at = n; at < values.length; at += n) {
    for (let i = 0; i < n; i++) {
      const [a, b] = [out[i] as number, values[at + i] as number];
      out[i] = reduce === "mean" ? a + b : a > b ? a : b;
    }
  }
  const size = values.length / n;
  if (reduce === "mean") for (let i = 0; i < n; i++) out[i] = (out[i] as number) / size;
  return out;
}

/** What each token of a head receives, reduced over its query heads and pooled over its neighbours. */
export function pooledAttention(
  head: HeadEvidence,
  kind: AttentionKind,
  o: Pick<ResolvedOptions, "gqa" | "pool" | "kernel" | "sinks" | "window">,
): Float32Array {
  const scores = reduceGroup(head.attention(kind), head.n, o.gqa);
  return pool(scores, o.sinks, Math.max(o.sinks, head.n - o.window), o.pool, o.kernel);
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
    const first = i - half < from ? from : i - half;
    const end = i + half < to ? i + half + 1 : to;
    let value = kind === "max" ? -Infinity : 0;
    if (kind === "max") {
      for (let j = first; j < end; j++)
        if ((values[j] as number) > value) value = values[j] as number;
    } else {
      for (let j = first; j < end; j++) value += values[j] as number;
      value /= kernel;
    }
    out[i] = value;
  }
  return out;
}
