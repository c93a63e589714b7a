import type { InputGraph } from "../../ggml/input-graph.ts";
import type { Kernels, SoftmaxOptions } from "../../ggml/kernels/kernels.ts";
import { tensorShape, type Tensor } from "../../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../../ggml/types.ts";
import type { HeadRun } from "../../kvcache/head-runs.ts";
import type { LayerScratch } from "../../kvcache/layer-scratch.ts";
import { softmaxOf } from "../../models/blocks/attention.ts";
import type { ModelLayer } from "../../models/model.ts";
import type { Accumulation } from "./accumulators.ts";
import { attentionScores } from "./attention-scores.ts";

/** Queries `[at, at + n)` of those that are held head by head. */
export interface QueryBlock {
  /** Keys that the first of them sees besides its own. */
  readonly nPast: number;
  /** Queries between one head's and the next's. */
  readonly stride: number;
  readonly at: number;
  readonly n: number;
}

/** The queries held of a layer, f32 [headDim, stride, nHead], and a run of its heads. */
export interface HeldQueries {
  readonly shape: ModelLayer;
  readonly scratch: LayerScratch;
  readonly run: HeadRun;
  readonly queries: Tensor;
}

/** Queries, the keys that they attend to, and how. */
export interface Scored {
  /** f32 [headDim, n, nHead] */
  readonly q: Tensor;
  /** f16 [headDim, nPast + n, nHeadKv] */
  readonly k: Tensor;
  /** Of the query heads of `q`. */
  readonly softmax: SoftmaxOptions;
}

/** A chunk's queries `[from, from + n)`, of `q` f32 [headDim, nHead, …], head by head: f32 [headDim, n, nHead]. */
export function blockOf(
  g: InputGraph,
  q: Tensor,
  { headDim, nHead }: Pick<ModelLayer, "headDim" | "nHead">,
  from: number,
  n: number,
): Tensor {
  const row = headDim * 4;
  const byHead = g.permute(q, 0, 2, 1, 3);
  return g.view3d(byHead, [headDim, n, nHead], [row * nHead, row], from * row * nHead);
}

/** Attention that a block of queries gives to a run's tokens and to each other: f32 [nPast + n, 1, nHead of the run]. */
export function windowScores(g: InputGraph, held: HeldQueries, block: QueryBlock): Tensor {
  return causalScores(g, scored(g, held, block), block, held.shape.kernels);
}

/** The same by ggml's operations, as far as a rule counts it. */
export function blockScores(
  g: InputGraph,
  held: HeldQueries,
  block: QueryBlock,
  rule: Pick<Accumulation, "distance" | "peaks">,
): Tensor {
  return ggmlScores(g, scored(g, held, block), block, rule);
}

/**
 * Attention that `n` queries after `nPast` tokens give to these and to each other: f32 [nPast + n, 1, nHead of `q`],
 * by our own operation, which needs no attention weights in memory, or by ggml's.
 */
export function causalScores(
  g: InputGraph,
  { q, k, softmax }: Scored,
  { nPast, n }: Pick<QueryBlock, "nPast" | "n">,
  kernels: Kernels | undefined,
): Tensor {
  if (kernels === undefined) {
    return ggmlScores(g, { q, k, softmax }, { nPast, n }, { distance: 0, peaks: false });
  }
  const into = g.zeros([nPast + n, tensorShape(q)[2] as number]);
  g.expand(kernels.attention(g, { q, k, sums: [{ into, distance: 0 }], ...softmax }));
  return into;
}

function ggmlScores(
  g: InputGraph,
  { q, k, softmax }: Scored,
  { nPast, n }: Pick<QueryBlock, "nPast" | "n">,
  rule: Pick<Accumulation, "distance" | "peaks">,
): Tensor {
  const nHead = tensorShape(q)[2] as number;
  const ones = () => g.constant(TYPES.f32, [1, n, nHead], new Float32Array(n * nHead).fill(1));
  return attentionScores(g, { q, k: g.cast(k, TYPES.f32), nPast, ...softmax, ...rule, ones });
}

/** A block's queries of a run's heads, and the run's keys. */
function scored(
  g: InputGraph,
  { scratch, shape, run, queries }: HeldQueries,
  { nPast, stride, at, n }: QueryBlock,
): Scored {
  const group = shape.nHead / shape.nHeadKv;
  const row = rowBytes(TYPES.f32, shape.headDim);
  const offset = (run.firstHead * group * stride + at) * row;
  const size = [shape.headDim, n, run.nHeadKv * group] as const;
  return {
    q: g.view3d(queries, size, [row, row * stride], offset),
    k: scratch.keys(g, run, nPast + n),
    softmax: softmaxOf(g, run, shape),
  };
}
