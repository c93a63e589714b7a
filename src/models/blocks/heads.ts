import type { Graph } from "../../ggml/graph.ts";
import type { Norm, QueryKeyValue } from "../../ggml/operations/nodes.ts";
import { tensorShape, tensorStrides, type Tensor } from "../../ggml/tensor-buffer.ts";
import type { LayerShape } from "../layer-shape.ts";
import { linearParts, type Weight } from "./linear.ts";

/** Queries, keys and values of `norm(x)`, cut into heads. */
export function projectHeads(
  g: Graph,
  x: Tensor,
  norm: Norm,
  weights: { readonly q: Weight; readonly k: Weight; readonly v: Weight },
  { headDim, nHead, nHeadKv }: Pick<LayerShape, "headDim" | "nHead" | "nHeadKv">,
): QueryKeyValue {
  const { parts, joined } = linearParts(g, [weights.q, weights.k, weights.v], x, { norm });
  const n = tensorShape(x)[1] as number;
  const head = headDim * 4;
  const total = joined === undefined ? 0 : (tensorShape(joined)[0] as number) * 4;
  const heads = (part: number, count: number) => {
    const tensor = parts[part] as Tensor;
    return joined === undefined
      ? g.reshape(tensor, headDim, count, n)
      : g.view3d(tensor, [headDim, count, n], [head, total], 0);
  };
  const split = { q: heads(0, nHead), k: heads(1, nHeadKv), v: heads(2, nHeadKv) };
  return joined === undefined ? split : { ...split, joined };
}

/** What token `i` of those attends with. */
export function headsOfToken(g: Graph, qkv: QueryKeyValue, i: number): QueryKeyValue {
  const n = tensorShape(qkv.q)[2] as number;
  if (n === 1) return qkv;
  const headsOf = (t: Tensor) => {
    const [headDim, heads] = tensorShape(t) as [number, number];
    const [, head, token] = tensorStrides(t) as [number, number, number];
    return g.view3d(t, [headDim, heads, 1], [head, token], i * token);
  };
  const heads = { q: headsOf(qkv.q), k: headsOf(qkv.k), v: headsOf(qkv.v) };
  if (qkv.joined === undefined) return heads;
  const rows = tensorShape(qkv.joined)[0] as number;
  return { ...heads, joined: g.view2d(qkv.joined, rows, 1, rows * 4, i * rows * 4) };
}
