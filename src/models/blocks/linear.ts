import type { Graph } from "../../ggml/graph.ts";
import type { LinearParts, Norm } from "../../ggml/operations/nodes.ts";
import type { Operations } from "../../ggml/operations/operations.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import type { ModelWeights } from "../architecture.ts";

export interface Weight {
  /** [k, m] */
  readonly weight: Tensor;
  /** f32 [m] */
  readonly bias?: Tensor | undefined;
  /** What multiplies it. */
  readonly operations: Operations;
}

/** A layer's weight by the name of its rule, and its bias, whose rule has `Bias` behind the name. */
export function matrix({ layers, operations }: ModelWeights, il: number, name: string): Weight {
  const weights = layers[il] as ModelWeights["layers"][number];
  const bias = weights[`${name}Bias`];
  return { weight: weights[name] as Tensor, bias, operations: operations(il) };
}

export interface LinearOptions {
  /** Applied to the input before. */
  readonly norm?: Norm | undefined;
  /** f32 [m, n], added to the result. */
  readonly residual?: Tensor | undefined;
}

/** `weight [k, m]` × `x [k, n]` → f32 [m, n]. Dense matmuls are made in this file; experts choose and multiply for themselves. */
export function linear(g: Graph, w: Weight, x: Tensor, options: LinearOptions = {}): Tensor {
  return result(g, [w], x, options, false).parts[0] as Tensor;
}

/** silu(gate x) · (up x) → f32 [m, n]. */
export function gatedLinear(
  g: Graph,
  gate: Weight,
  up: Weight,
  x: Tensor,
  options: Pick<LinearOptions, "norm"> = {},
): Tensor {
  return result(g, [gate, up], x, options, true).parts[0] as Tensor;
}

/** Up to three weights with the same input. */
export function linearParts(
  g: Graph,
  weights: readonly Weight[],
  x: Tensor,
  options: Pick<LinearOptions, "norm"> = {},
): LinearParts {
  return result(g, weights, x, options, false);
}

function result(
  g: Graph,
  weights: readonly Weight[],
  x: Tensor,
  { norm, residual }: LinearOptions,
  gated: boolean,
): LinearParts {
  const [{ operations }] = weights as [Weight];
  return operations.linear(g, {
    x,
    weights: weights.map(({ weight }) => weight),
    biases: weights.map(({ bias }) => bias),
    norm,
    gated,
    residual,
  });
}
