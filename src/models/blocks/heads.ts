import type { Graph } from "../../ggml/graph.ts";
import type { Norm, QueryKeyValue } from "../../ggml/operations/nodes.ts";
import { normed } from "../../ggml/operations/ggml.ts";
import { tensorShape, tensorStrides, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { LayerShape, QueryGrowth } from "../layer-shape.ts";
import { linearParts, type LinearOptions, type Weight } from "./linear.ts";

/**
 * Queries, keys and values of `norm(x)`, cut into heads; `weights` are those three, or one for all of them. Where attention
 * is gated, each query head is followed by its gate.
 */
export function projectHeads(
  g: Graph,
  x: Tensor,
  { norm }: Pick<LinearOptions, "norm">,
  weights: readonly Weight[],
  shape: Pick<LayerShape, "headDim" | "nHead" | "nHeadKv" | "gatesAttention">,
): QueryKeyValue {
  const { headDim, nHead, nHeadKv, gatesAttention = false } = shape;
  const products = linearParts(g, weights, x, { norm });
  const n = tensorShape(x)[1] as number;
  const head = headDim * 4;
  const joined = weights.length === 1 ? products.parts[0] : products.joined;
  const total = joined === undefined ? 0 : (tensorShape(joined)[0] as number) * 4;
  const heads = (part: number, first: number, count: number) => {
    if (joined === undefined) {
      return g.reshape(products.parts[part] as Tensor, headDim, count, n);
    }
    return g.view3d(joined, [headDim, count, n], [head, total], first * head);
  };
  const nQuery = gatesAttention ? 2 * nHead : nHead;
  const queries = heads(0, 0, nQuery);
  const split = {
    k: heads(1, nQuery, nHeadKv),
    v: heads(2, nQuery + nHeadKv, nHeadKv),
  };
  if (gatesAttention) {
    const token = tensorStrides(queries)[2] as number;
    const every2nd = (first: number) =>
      g.view3d(queries, [headDim, nHead, n], [2 * head, token], first * head);
    return { q: every2nd(0), ...split, gate: every2nd(1) };
  }
  const all = { q: queries, ...split };
  return joined === undefined ? all : { ...all, joined };
}

/**
 * Heads f32 [headDim, heads, n] after a norm of each head by itself, or, where its weight is as long as all of them, of a
 * token's heads together (OLMo 2).
 */
export function normHeads(g: Graph, heads: Tensor, norm: Norm): Tensor {
  const [headDim, count, n] = tensorShape(heads) as [number, number, number];
  const width = tensorShape(norm.weight)[0] as number;
  if (width === headDim) return normed(g, heads, norm);
  const token = tensorStrides(heads)[2] as number;
  return g.reshape(normed(g, g.view2d(heads, width, n, token, 0), norm), headDim, count, n);
}

/** Heads f32 [headDim, heads, n] times a factor. */
export function scaleHeads(g: Graph, heads: Tensor, factor: number): Tensor {
  const [headDim, count] = tensorShape(heads) as [number, number];
  // ggml scales what lies in one piece, and would end the process.
  const isWhole = tensorStrides(heads)[2] === headDim * count * 4;
  return g.scale(isWhole ? heads : g.contiguous(heads), factor);
}

/** Queries f32 [headDim, nHead, n], longer the later they are: `positions` i32 [n]. */
export function growQueries(
  g: Graph,
  queries: Tensor,
  positions: Tensor,
  { scale, every }: QueryGrowth,
): Tensor {
  const n = tensorShape(queries)[2] as number;
  // Halfway between two positions, so that rounding reaches no other step.
  const steps = g.floor(g.scale(g.cast(positions, TYPES.f32), 1 / every, 0.5 / every));
  const factors = g.scale(g.log(g.scale(steps, 1, 1)), scale, 1);
  return g.mul(queries, g.reshape(factors, 1, 1, n));
}

/** What attention gave, f32 [headDim · nHead, n], times the sigmoid of a gate f32 [headDim, nHead, n]. */
export function gatedBy(g: Graph, attention: Tensor, gate: Tensor | undefined): Tensor {
  if (gate === undefined) return attention;
  const [width, n] = tensorShape(attention) as [number, number];
  return g.mul(attention, g.reshape(g.sigmoid(g.contiguous(gate)), width, n));
}

/** The heads of token `i` of those, f32 [headDim, heads, n]. */
export function ofToken(g: Graph, heads: Tensor, i: number): Tensor {
  const [headDim, count] = tensorShape(heads) as [number, number];
  const [, head, token] = tensorStrides(heads) as [number, number, number];
  return g.view3d(heads, [headDim, count, 1], [head, token], i * token);
}

/** What token `i` of those attends with. */
export function headsOfToken(g: Graph, qkv: QueryKeyValue, i: number): QueryKeyValue {
  const n = tensorShape(qkv.q)[2] as number;
  if (n === 1) return qkv;
  const [q, k, v] = [qkv.q, qkv.k, qkv.v].map((t) => ofToken(g, t, i)) as [Tensor, Tensor, Tensor];
  const heads = { q, k, v };
  if (qkv.joined === undefined) return heads;
  const rows = tensorShape(qkv.joined)[0] as number;
  return { ...heads, joined: g.view2d(qkv.joined, rows, 1, rows * 4, i * rows * 4) };
}
