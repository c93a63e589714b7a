import type { Graph } from "../../ggml/graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import { linear } from "./linear.ts";

export interface FfnWeights {
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
  readonly gateBias?: Tensor | undefined;
  readonly upBias?: Tensor | undefined;
  readonly downBias?: Tensor | undefined;
}

/** down(silu(gate x) · up x), the gated feed-forward network of the llama family. */
export function swigluFfn(g: Graph, x: Tensor, w: FfnWeights): Tensor {
  const up = linear(g, w.up, x, w.upBias);
  const gate = linear(g, w.gate, x, w.gateBias);
  return linear(g, w.down, g.swiglu(gate, up), w.downBias);
}
