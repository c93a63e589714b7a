import type { Graph } from "../../ggml/graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";

/** RMS norm over ne[0] times `weight [nEmbd]`. */
export function rmsNorm(g: Graph, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  return g.mul(g.rmsNorm(x, epsilon), weight);
}
