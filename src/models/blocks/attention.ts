import type { Graph } from "../../ggml/graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";

/** The kv heads `[first, first + nHeadKv)` of a layer: equally long, so one node serves them. */
export interface KvGroup {
  readonly firstHead: number;
  readonly nHeadKv: number;
  /** [headDim, nKv, nHeadKv] */
  readonly k: Tensor;
  /** [headDim, nKv, nHeadKv] */
  readonly v: Tensor;
  /** f16 [nKv, n]: 0 where a query sees a key, -infinity elsewhere. */
  readonly mask: Tensor;
}

export interface AttentionShape {
  readonly headDim: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  /** Queries. */
  readonly n: number;
  readonly scale: number;
}

/**
 * Attention of `q` f32 [headDim, nHead, n] over a layer's kv heads → f32 [headDim · nHead, n].
 * Heads of equal length share one flash-attention node; ragged ones take one node a group.
 */
export function attention(
  g: Graph,
  q: Tensor,
  groups: readonly KvGroup[],
  s: AttentionShape,
): Tensor {
  const queriesPerKv = s.nHead / s.nHeadKv;
  const byHead = g.permute(q, 0, 2, 1, 3); // [headDim, n, nHead]
  const headBytes = s.headDim * 4;
  let result: Tensor | undefined;
  for (const group of groups) {
    const nHead = group.nHeadKv * queriesPerKv;
    const part =
      groups.length === 1
        ? byHead
        : g.view3d(
            byHead,
            [s.headDim, s.n, nHead],
            [headBytes * s.nHead, headBytes],
            group.firstHead * queriesPerKv * headBytes,
          );
    const out = g.flashAttention(part, group.k, group.v, group.mask, s.scale); // [headDim, nHead, n]
    result = result === undefined ? out : g.concat(result, out, 1);
  }
  return g.reshape(result as Tensor, s.headDim * s.nHead, s.n);
}
