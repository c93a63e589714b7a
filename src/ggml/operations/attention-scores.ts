import type { Graph } from "../graph.ts";
import type { SoftmaxOptions } from "./nodes.ts";
import type { Tensor } from "../tensor-buffer.ts";

export interface AttentionScoresInput extends SoftmaxOptions {
  /** f32 [headDim, nKv, nHeadKv] */
  readonly k: Tensor;
  /** f32 [headDim, nQueries, nHead] */
  readonly q: Tensor;
  /** f32 [1, nQueries, nHead] of ones, made where it is used. */
  readonly ones: () => Tensor;
  /** Keys that the first query sees besides its own, each later one sees one more; or which ones each of them sees. */
  readonly nPast: number | Visibility;
  /** Only attention from at least this many tokens away counts; at most `nPast`. Defaults to 0. Not with a visibility. */
  readonly distance?: number;
  /** The largest is taken instead of the sum. */
  readonly peaks?: boolean;
}

/** Which keys each query sees, where those are not the ones before it in the rows: f32 [nKv, nQueries, nHead] each. */
export interface Visibility {
  /** Added to the logits: 0, or a large negative number for a key that is not seen. */
  readonly bias: Tensor;
  /** 1 where the attention counts, else 0. */
  readonly counts: Tensor;
}

/**
 * Σ (or the largest) over queries of their causal softmax(q Kᵀ · scale) → f32 [nKv, 1, nHead]: how much attention each
 * token receives. In f32 throughout, so that the choice of tokens does not depend on the machine. Where a head has a
 * sink logit, what it takes is received by no token.
 */
export function attentionScores(g: Graph, s: AttentionScoresInput): Tensor {
  const far = countedWeights(g, s); // [nKv, nQueries, nHead]
  if (s.peaks !== true) return g.outProd(far, s.ones());
  return g.permute(g.maxOfRows(g.contiguous(g.permute(far, 1, 0, 2, 3))), 1, 0, 2, 3);
}

function countedWeights(g: Graph, s: AttentionScoresInput): Tensor {
  const { nPast, softcap, sinkLogits, distance = 0 } = s;
  const products = g.mulMat(s.k, s.q);
  const logits = softcap === undefined ? products : g.softCap(products, s.scale, softcap);
  const scale = softcap === undefined ? s.scale : 1;
  if (typeof nPast === "object") {
    const weights = g.softMaxScaled(g.add(logits, nPast.bias), scale, { sinkLogits });
    return g.mul(weights, nPast.counts);
  }
  const weights = g.softMaxScaled(g.causalMask(logits, nPast), scale, { sinkLogits });
  return distance > 0 ? g.causalZero(weights, nPast - distance) : weights;
}
