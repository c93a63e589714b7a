import type { Graph } from "../../ggml/graph.ts";
import { tensorShape, type Tensor } from "../../ggml/tensor-buffer.ts";
import type { Activation } from "../layer-shape.ts";
import { gatedLinear, linear, linearParts, type LinearOptions, type Weight } from "./linear.ts";

/** gpt-oss's: the slope of its gate's sigmoid, and where gate and rest are cut. */
const CLAMPED = { slope: 1.702, limit: 7 };

export interface FfnWeights {
  /** [k, nFf]; none where `up` holds its rows before its own, [k, 2 nFf], or where nothing gates. */
  readonly gate?: Weight | undefined;
  readonly up: Weight;
  readonly down: Weight;
}

/** down(activation(gate h) · up h) with h = norm(x): the feed-forward network of most families, gated or not. */
export function denseFfn(
  g: Graph,
  x: Tensor,
  { gate, up, down }: FfnWeights,
  activation: Activation,
  { norm, residual }: LinearOptions = {},
): Tensor {
  return linear(g, down, within(), { residual });

  function within(): Tensor {
    if (gate !== undefined && activation === "silu") return gatedLinear(g, gate, up, x, { norm });
    if (gate !== undefined) {
      const { parts } = linearParts(g, [gate, up], x, { norm });
      return gated(g, parts[0] as Tensor, parts[1] as Tensor, activation);
    }
    const h = linear(g, up, x, { norm });
    const nFf = tensorShape(down.weight)[0] as number;
    return tensorShape(h)[0] === 2 * nFf ? g.swigluHalves(h) : g.gelu(h);
  }
}

/** activation(gate) · up */
export function gated(g: Graph, gate: Tensor, up: Tensor, activation: Activation): Tensor {
  switch (activation) {
    case "silu":
      return g.swiglu(gate, up);
    case "gelu":
      return g.geglu(gate, up);
    case "swiglu-oai":
      return g.clampedSwiglu(gate, up, CLAMPED.slope, CLAMPED.limit);
  }
}
