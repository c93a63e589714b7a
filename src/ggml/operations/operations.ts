import type { Graph } from "../graph.ts";
import type { InputGraph } from "../input-graph.ts";
import type { Tensor } from "../tensor-buffer.ts";
import type {
  AttentionNode,
  DecodeInputs,
  HeadsShape,
  LinearNode,
  LinearParts,
  RotateNode,
  ScoreNode,
  SoftmaxOptions,
  Summed,
} from "./nodes.ts";

/**
 * What a layer is computed with, by ggml or by our own kernels: both give the same, up to the order of sums. A device says which,
 * once, for heads of a shape.
 */
export interface Operations {
  /** Queries that attention sums together: what one gives depends on where its tile begins. */
  readonly queryTile: number;
  /** Whether tokens are rotated by a table of what their positions do. */
  readonly rotatesByTable: boolean;

  /** Weights times columns, gated and joined with what comes before and after. */
  linear(g: Graph, node: LinearNode): LinearParts;

  /** Puts keys, rotated, and values where they are kept. @returns the queries, rotated: f32 [headDim, nHead, n] */
  rotate(g: Graph, node: RotateNode, shape: HeadsShape): Tensor;

  /** f32 [headDim, nHead, n] */
  attention(g: Graph, node: AttentionNode): Tensor;

  /** The attention that keys receive of all queries, in f32: f32 [nKv, 1, nHead]. */
  scores(g: InputGraph, node: ScoreNode): Tensor;

  /** Adds up what keys receive on attention's way, and without values: none, where that must be computed apart. */
  readonly gather?: ((g: Graph, node: ScoreNode & Summed) => void) | undefined;

  /** Decodes sequences wherever they lie; none, where a graph is of just these. */
  readonly decode?: DecodeOperation | undefined;
}

/** One token of each of some sequences: it is appended to the sequence's cache and attends to that. */
export interface DecodeOperation {
  /** f32 [headDim · nHead, n] */
  node(g: Graph, inputs: DecodeInputs, shape: HeadsShape & SoftmaxOptions): Tensor;
  /** Keys of a segment that a thread takes at a time. */
  readonly part: number;
  /** Bytes of workspace that a step takes where the heads of all columns have `parts` parts of `part` keys. */
  workspaceBytes(shape: HeadsShape, parts: number): number;
}
