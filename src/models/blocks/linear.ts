import type { Graph } from "../../ggml/graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";

/** `weights [k, m]` × `x [k, n]` (+ `bias [m]`) → f32 [m, n]. Every dense matmul of a model is made here. */
export function linear(g: Graph, weights: Tensor, x: Tensor, bias?: Tensor): Tensor {
  const y = g.mulMat(weights, x);
  return bias === undefined ? y : g.add(y, bias);
}
