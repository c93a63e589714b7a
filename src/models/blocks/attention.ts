import type { Graph } from "../../ggml/graph.ts";
import type { HeadsShape, SoftmaxOptions, Summed } from "../../ggml/operations/nodes.ts";
import type { Operations } from "../../ggml/operations/operations.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";

/** The kv heads `[firstHead, firstHead + nHeadKv)` of a layer. */
export interface HeadRange {
  readonly firstHead: number;
  readonly nHeadKv: number;
}

/** Heads of a layer that are equally long, so that one node serves them. */
export interface KvGroup extends HeadRange {
  /** [headDim, nKv, nHeadKv] */
  readonly k: Tensor;
  /** [headDim, nKv, nHeadKv] */
  readonly v: Tensor;
  /** f16 [nKv, n]: 0 where a query sees a key, -infinity elsewhere. Our kernels need none: they are causal. */
  mask(): Tensor;
  /** What each key receives is gathered there. Our kernels alone do that. */
  readonly summed?: Summed;
}

export interface AttentionShape extends HeadsShape, SoftmaxOptions {
  /** Queries: those of the last n keys. */
  readonly n: number;
  /** Keys that a query sees, its own included; all by default. ggml's operations are told by the masks. */
  readonly window?: number | undefined;
  readonly operations: Operations;
}

/**
 * Attention of `q` f32 [headDim, nHead, n] over a layer's kv heads → f32 [headDim · nHead, n].
 * Heads of equal length share one node; ragged ones take one node a group.
 */
export function attention(
  g: Graph,
  q: Tensor,
  groups: readonly KvGroup[],
  s: AttentionShape,
): Tensor {
  let result: Tensor | undefined;
  for (const group of groups) {
    const queries = groups.length === 1 ? byHead(g, q) : queriesOf(g, q, group, s);
    const { k, v, summed } = group;
    const softmax = softmaxOf(g, group, s);
    const mask = () => group.mask();
    const node = { q: queries, k, v, mask, window: s.window, ...softmax, ...summed };
    const out = s.operations.attention(g, node); // [headDim, nHead, n]
    result = result === undefined ? out : g.concat(result, out, 1);
  }
  return g.reshape(result as Tensor, s.headDim * s.nHead, s.n);
}

/** How a group's query heads attend: each has its own sink logit. */
export function softmaxOf(
  g: Graph,
  { firstHead, nHeadKv }: HeadRange,
  s: SoftmaxOptions & Pick<HeadsShape, "nHead" | "nHeadKv">,
): SoftmaxOptions {
  const { scale, softcap, sinkLogits } = s;
  if (sinkLogits === undefined || nHeadKv === s.nHeadKv) return { scale, softcap, sinkLogits };
  const queriesPerKv = s.nHead / s.nHeadKv;
  const logits = g.view1d(sinkLogits, nHeadKv * queriesPerKv, firstHead * queriesPerKv * 4);
  return { scale, softcap, sinkLogits: logits };
}

/** The queries of a group's kv heads, f32 [headDim, n, nHead of the group]. */
export function queriesOf(
  g: Graph,
  q: Tensor,
  { firstHead, nHeadKv }: HeadRange,
  {
    headDim,
    nHead,
    nHeadKv: totalHeads,
    n,
  }: Pick<AttentionShape, "headDim" | "nHead" | "nHeadKv" | "n">,
): Tensor {
  const queriesPerKv = nHead / totalHeads;
  const headBytes = headDim * 4;
  return g.view3d(
    byHead(g, q),
    [headDim, n, nHeadKv * queriesPerKv],
    [headBytes * nHead, headBytes],
    firstHead * queriesPerKv * headBytes,
  );
}

function byHead(g: Graph, q: Tensor): Tensor {
  return g.permute(q, 0, 2, 1, 3); // [headDim, n, nHead]
}
