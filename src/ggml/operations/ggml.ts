import type { Graph } from "../graph.ts";
import type { InputGraph } from "../input-graph.ts";
import { tensorShape, type Tensor } from "../tensor-buffer.ts";
import { TYPES } from "../types.ts";
import { attentionScores } from "./attention-scores.ts";
import type { Norm, ScoreNode } from "./nodes.ts";
import type { Operations } from "./operations.ts";

/** ggml's flash attention takes tiles of 64 queries, and sums fewer than a tile in another order. */
const QUERY_TILE = 64;

/** ggml's own operations, which any device computes. */
export const ggmlOperations: Operations = {
  queryTile: QUERY_TILE,
  rotatesByTable: false,

  linear(g, { x, weights, biases, norm, gated, residual }) {
    const h = norm === undefined ? x : normed(g, x, norm);
    const products = weights.map((weight, i) => {
      const y = g.mulMat(weight, h);
      const bias = biases[i];
      return bias === undefined ? y : g.add(y, bias);
    });
    const parts = gated ? [g.swiglu(...(products as [Tensor, Tensor]))] : products;
    return { parts: residual === undefined ? parts : parts.map((y) => g.add(y, residual)) };
  },

  rotate(g, { qkv, rotated, k, v }) {
    const byHead = (t: Tensor) => g.permute(t, 0, 2, 1, 3); // [headDim, n, heads]
    g.expand(g.copy(byHead(rotated(qkv.k)), k));
    g.expand(g.copy(byHead(qkv.v), v));
    return rotated(qkv.q);
  },

  attention(g, { q, k, v, mask, ...softmax }) {
    return g.flashAttention(q, k, v, mask(), softmax);
  },

  scores: (g, node) => countedScores(g, node, { distance: 0, peaks: false }),
};

/** `x` after a norm. */
export function normed(g: Graph, x: Tensor, { weight, bias, epsilon }: Norm): Tensor {
  if (bias === undefined) return g.mul(g.rmsNorm(x, epsilon), weight);
  return g.add(g.mul(g.norm(x, epsilon), weight), bias);
}

/** The attention that keys receive from so far away, or the most of it: f32 [nKv, 1, nHead]. */
export function countedScores(
  g: InputGraph,
  { q, k, scale, softcap, sinkLogits }: ScoreNode,
  rule: { readonly distance: number; readonly peaks: boolean },
): Tensor {
  const [, n, nHead] = tensorShape(q) as [number, number, number];
  const nPast = (tensorShape(k)[1] as number) - n;
  const ones = () => g.constant(TYPES.f32, [1, n, nHead], new Float32Array(n * nHead).fill(1));
  const keys = g.cast(k, TYPES.f32);
  return attentionScores(g, { q, k: keys, nPast, scale, softcap, sinkLogits, ...rule, ones });
}
