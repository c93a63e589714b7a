import type { InputGraph } from "../../ggml/input-graph.ts";
import { countedScores } from "../../ggml/operations/ggml.ts";
import type { ScoreNode } from "../../ggml/operations/nodes.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../../ggml/types.ts";
import type { HeadRun } from "../../kvcache/head-runs.ts";
import type { LayerScratch } from "../../kvcache/layer-scratch.ts";
import { softmaxOf } from "../../models/blocks/attention.ts";
import type { ModelLayer } from "../../models/model.ts";
import type { Accumulation } from "./accumulators.ts";

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
  return held.shape.operations.scores(g, scored(g, held, block));
}

/** The same by ggml's operations, as far as a rule counts it. */
export function blockScores(
  g: InputGraph,
  held: HeldQueries,
  block: QueryBlock,
  rule: Pick<Accumulation, "distance" | "peaks">,
): Tensor {
  return countedScores(g, scored(g, held, block), rule);
}

/** A block's queries of a run's heads, and the run's keys. */
function scored(
  g: InputGraph,
  { scratch, shape, run, queries }: HeldQueries,
  { nPast, stride, at, n }: QueryBlock,
): ScoreNode {
  const group = shape.nHead / shape.nHeadKv;
  const row = rowBytes(TYPES.f32, shape.headDim);
  const offset = (run.firstHead * group * stride + at) * row;
  const size = [shape.headDim, n, run.nHeadKv * group] as const;
  return {
    q: g.view3d(queries, size, [row, row * stride], offset),
    k: scratch.keys(g, run, nPast + n),
    ...softmaxOf(g, run, shape),
  };
}
