import type { Graph } from "../../ggml/graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";

export interface Norm {
  /** f32 [nEmbd] */
  readonly weight: Tensor;
  readonly epsilon: number;
}

/** RMS norm over ne[0] times its weight. */
export function rmsNorm(g: Graph, x: Tensor, { weight, epsilon }: Norm): Tensor {
  return g.mul(g.rmsNorm(x, epsilon), weight);
}
