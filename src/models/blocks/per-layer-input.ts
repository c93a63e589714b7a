import type { Graph } from "../../ggml/graph.ts";
import { normed } from "../../ggml/operations/ggml.ts";
import type { Norm } from "../../ggml/operations/nodes.ts";
import { tensorShape, tensorStrides, type Tensor } from "../../ggml/tensor-buffer.ts";
import { linear, type Weight } from "./linear.ts";

/** Weights of what a layer is told of each token for itself (Gemma 3n and 4). */
export interface PerLayerWeights {
  /** [width · nLayer, nVocab]: each token's rows for all layers. */
  readonly embedding: Tensor;
  /** [nEmbd, width · nLayer], whose rows belong to the layers in their order */
  readonly projection: Weight;
  /** f32 [width] */
  readonly projectionNorm: Norm;
  /** [nEmbd, width], [width, nEmbd] */
  readonly gate: Weight;
  readonly up: Weight;
  readonly norm: Norm;
}

/**
 * `x` f32 [nEmbd, n] and what layer `il` is told of its `tokens` i32 [n], whose embeddings are `embedded` f32 [nEmbd, n].
 * Each layer reads its own part of the weights, so that nothing is held for all layers.
 */
export function withPerLayerInput(
  g: Graph,
  il: number,
  x: Tensor,
  { tokens, embedded }: { readonly tokens: Tensor; readonly embedded: Tensor },
  w: PerLayerWeights,
): Tensor {
  const width = tensorShape(w.projectionNorm.weight)[0] as number;
  const nEmbd = tensorShape(x)[0] as number;
  const { weight, operations } = w.projection;
  const row = tensorStrides(weight)[1] as number;
  const part = { weight: g.view2d(weight, nEmbd, width, row, il * width * row), operations };
  const projected = g.scale(linear(g, part, embedded), 1 / Math.sqrt(nEmbd));
  const [rows, nVocab] = tensorShape(w.embedding) as [number, number];
  const token = tensorStrides(w.embedding)[1] as number;
  const ofLayer = g.view2d(w.embedding, width, nVocab, token, (token / (rows / width)) * il);
  const looked = g.scale(g.getRows(ofLayer, tokens), Math.sqrt(width));
  const told = g.scale(g.add(normed(g, projected, w.projectionNorm), looked), Math.SQRT1_2);
  const gated = g.mul(g.gelu(linear(g, w.gate, x)), told);
  return g.add(x, normed(g, linear(g, w.up, gated), w.norm));
}
