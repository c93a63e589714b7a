import type { Graph } from "../../ggml/graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import { gatedLinear, linear, type Weight } from "./linear.ts";
import type { Norm } from "../../ggml/operations/nodes.ts";

export interface FfnWeights {
  readonly gate: Weight;
  readonly up: Weight;
  readonly down: Weight;
}

/** x + down(silu(gate h) · up h) with h = norm(x): the gated feed-forward network of the llama family. */
export function swigluFfn(g: Graph, x: Tensor, norm: Norm, w: FfnWeights): Tensor {
  return linear(g, w.down, gatedLinear(g, w.gate, w.up, x, { norm }), { residual: x });
}
