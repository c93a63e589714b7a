import type { Tensor } from "../tensor-buffer.ts";

/** A norm over `ne[0]`, times a weight: of the root mean square, or, where there is a bias, a layer norm. */
export interface Norm {
  /** f32 [k] */
  readonly weight: Tensor;
  /** f32 [k] */
  readonly bias?: Tensor | undefined;
  readonly epsilon: number;
}

/** `W x`, and what is computed with it. */
export interface LinearNode {
  /** f32 [k, n] */
  readonly x: Tensor;
  /** [k, m] each, three at most; gate and up where `gated`. */
  readonly weights: readonly Tensor[];
  /** f32 [m], where a weight has one. */
  readonly biases: readonly (Tensor | undefined)[];
  /** Applied to `x` before. */
  readonly norm?: Norm | undefined;
  /** silu(gate x) · (up x) */
  readonly gated: boolean;
  /** Added to the result, f32 of its shape. */
  readonly residual?: Tensor | undefined;
}

/** What came of some weights with the same input. */
export interface LinearParts {
  /** Each weight's result, f32 [m, n]. */
  readonly parts: readonly Tensor[];
  /** f32 [sum of m, n], where one node made them all: the parts are views of it. */
  readonly joined?: Tensor;
}

/** What a layer attends with, before rotation. */
export interface QueryKeyValue {
  /** f32 [headDim, nHead, n] */
  readonly q: Tensor;
  /** f32 [headDim, nHeadKv, n] */
  readonly k: Tensor;
  /** f32 [headDim, nHeadKv, n] */
  readonly v: Tensor;
  /** f32 [headDim · (nHead + 2 nHeadKv), n], where one node made the three and nothing else: they are views of it. */
  readonly joined?: Tensor;
  /** f32 [headDim, nHead, n]: its sigmoid multiplies what attention gives, where there is one. */
  readonly gate?: Tensor;
}

/** How a layer's queries, keys and values are cut into heads and rotated. */
export interface HeadsShape {
  readonly headDim: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly rope: { readonly mode: number; readonly dims: number };
}

/** Pairs side by side, as llama has them. */
export const ROPE_NORM = 0;
/** Pairs half of the rotated dimensions apart, as GPT-NeoX has them. */
export const ROPE_NEOX = 2;

/** New tokens' queries, keys and values on their way into the cache. */
export interface RotateNode {
  readonly qkv: QueryKeyValue;
  /** Queries or keys f32 [headDim, heads, n], rotated to their positions by ggml. */
  readonly rotated: (heads: Tensor) => Tensor;
  /** What the tokens' positions do to (1, 0) pairs: f32 [headDim, n]. Only where rotation is by table. */
  readonly table: () => Tensor;
  /** Where keys go, rotated, and values: f16 [headDim, n, nHeadKv]. */
  readonly k: Tensor;
  readonly v: Tensor;
}

/** How products of queries and keys become attention. */
export interface SoftmaxOptions {
  /** Factor on q·k. */
  readonly scale: number;
  /** Logits x become softcap · tanh(x / softcap); as they are by default. */
  readonly softcap?: number | undefined;
  /** f32 [query heads]: a learned logit that takes weight which no token gets; none by default. */
  readonly sinkLogits?: Tensor | undefined;
}

/** Queries, and the keys that they attend to: the last n are their own. */
export interface ScoreNode extends SoftmaxOptions {
  /** f32 [headDim, n, nHead] */
  readonly q: Tensor;
  /** f16 [headDim, nKv, nHeadKv] */
  readonly k: Tensor;
}

/** Sums of the attention that keys receive. */
export interface KeySums {
  /** f32 [nKv, nHead] */
  readonly into: Tensor;
  /** Only attention from at least this far away counts. */
  readonly distance: number;
}

/** What of attention is added to what keys received before. */
export interface Summed {
  /** What is added, of as many kinds as `KernelLimits.sums` at most. */
  readonly sums?: readonly KeySums[];
  /** The largest is kept in `sums` instead of the sum. */
  readonly peaks?: boolean;
}

/** Attention of many queries. */
export interface AttentionNode extends ScoreNode, Summed {
  /** f16 like `k` */
  readonly v: Tensor;
  /** Keys that a query sees, its own included (sliding window); all by default. */
  readonly window?: number | undefined;
  /** f16 [nKv, n]: 0 where a query sees a key, -infinity elsewhere. Made only where it is needed. */
  readonly mask: () => Tensor;
}

/** A token of each of n sequences, and where their caches lie. */
export interface DecodeInputs {
  /** f32 [headDim · (nHead + 2 nHeadKv), n] */
  readonly qkv: Tensor;
  /** What the tokens' positions do to (1, 0) pairs: f32 [headDim, n]. */
  readonly table: Tensor;
  /** The segments of each head: i64 [3, segments, nHeadKv · n]. */
  readonly segments: Tensor;
  /** The column of each sequence: i64 [4, n]. */
  readonly columns: Tensor;
}
