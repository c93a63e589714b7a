import type { Graph } from "../../ggml/graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";

export interface AttentionScoresInput {
  /** f32 [headDim, nKv, nHeadKv] */
  readonly k: Tensor;
  /** f32 [headDim, nQueries, nHead] */
  readonly q: Tensor;
  /** f32 [1, nQueries, nHead] of ones, made where it is used. */
  readonly ones: () => Tensor;
  /** Keys that the first query sees besides its own. */
  readonly nPast: number;
  readonly scale: number;
  /** Only attention from at least so many tokens away counts; at most `nPast`. Defaults to 0. */
  readonly distance?: number;
  /** The largest is taken instead of the sum. */
  readonly peaks?: boolean;
}

/**
 * Σ (or the largest) over queries of their causal softmax(q Kᵀ · scale) → f32 [nKv, 1, nHead]: how much attention each
 * token receives. In f32 throughout, so that the choice of tokens does not depend on the machine.
 */
export function attentionScores(g: Graph, s: AttentionScoresInput): Tensor {
  const logits = g.causalMask(g.mulMat(s.k, s.q), s.nPast); // [nKv, nQueries, nHead]
  const weights = g.softMaxScaled(logits, s.scale);
  const far = s.distance ? g.causalZero(weights, s.nPast - s.distance) : weights;
  if (s.peaks !== true) return g.outProd(far, s.ones());
  return g.permute(g.maxOfRows(g.contiguous(g.permute(far, 1, 0, 2, 3))), 1, 0, 2, 3);
}
