import type { Graph } from "../../ggml/graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";

export interface AttentionScoresInput {
  /** f32 [headDim, nKv, nHeadKv] */
  readonly k: Tensor;
  /** f32 [headDim, nQueries, nHead] */
  readonly q: Tensor;
  /** f32 [1, nQueries, nHead] of ones */
  readonly ones: Tensor;
  /** Keys that the first query sees besides its own. */
  readonly nPast: number;
  readonly scale: number;
}

/**
 * Σ over queries of their causal softmax(q Kᵀ · scale) → f32 [nKv, 1, nHead]: how much attention each
 * token receives. In f32 throughout, so that the choice of tokens does not depend on the machine.
 */
export function attentionScores(g: Graph, s: AttentionScoresInput): Tensor {
  const logits = g.causalMask(g.mulMat(s.k, s.q), s.nPast); // [nKv, nQueries, nHead]
  return g.outProd(g.softMaxScaled(logits, s.scale), s.ones);
}
