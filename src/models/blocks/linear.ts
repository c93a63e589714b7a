import type { Graph } from "../../ggml/graph.ts";
import { rmsNorm, type Norm } from "./norm.ts";
import { tensorShape, type Tensor } from "../../ggml/tensor-buffer.ts";

export interface Weight {
  /** [k, m] */
  readonly weight: Tensor;
  /** f32 [m] */
  readonly bias?: Tensor | undefined;
}

export interface LinearOptions {
  /** Applied to the input before. */
  readonly norm?: Norm;
  /** f32 [m, n], added to the result. */
  readonly residual?: Tensor;
}

/** `weight [k, m]` × `x [k, n]` → f32 [m, n]. Dense matmuls are made in this file; experts choose and multiply for themselves. */
export function linear(g: Graph, w: Weight, x: Tensor, options: LinearOptions = {}): Tensor {
  if (takes(g, [w], x)) return kernelNode(g, [w], x, options, false);
  const y = product(g, w, normed(g, x, options));
  return options.residual === undefined ? y : g.add(y, options.residual);
}

/** silu(gate x) · (up x) → f32 [m, n]. */
export function gatedLinear(
  g: Graph,
  gate: Weight,
  up: Weight,
  x: Tensor,
  options: Pick<LinearOptions, "norm"> = {},
): Tensor {
  if (takes(g, [gate, up], x)) {
    return kernelNode(g, [gate, up], x, options, true);
  }
  const h = normed(g, x, options);
  return g.swiglu(product(g, gate, h), product(g, up, h));
}

export interface LinearParts {
  /** Each weight's result, f32 [m, n]. */
  readonly parts: readonly Tensor[];
  /** f32 [sum of m, n], where one node made them all: the parts are views of it. */
  readonly joined?: Tensor;
}

/** Up to three weights with the same input. */
export function linearParts(
  g: Graph,
  weights: readonly Weight[],
  x: Tensor,
  options: Pick<LinearOptions, "norm"> = {},
): LinearParts {
  if (!takes(g, weights, x)) {
    const h = normed(g, x, options);
    return { parts: weights.map((w) => product(g, w, h)) };
  }
  const joined = kernelNode(g, weights, x, options, false);
  const [total, n] = tensorShape(joined) as [number, number];
  let row = 0;
  const parts = weights.map(({ weight }) => {
    const m = tensorShape(weight)[1] as number;
    const part = g.view2d(joined, m, n, total * 4, row * 4);
    row += m;
    return part;
  });
  return { parts, joined };
}

function takes(g: Graph, weights: readonly Weight[], x: Tensor): boolean {
  const n = tensorShape(x)[1] as number;
  return (
    g.kernels?.takes(
      weights.map((w) => w.weight),
      n,
    ) === true
  );
}

function normed(g: Graph, x: Tensor, { norm }: LinearOptions): Tensor {
  return norm === undefined ? x : rmsNorm(g, x, norm);
}

function product(g: Graph, { weight, bias }: Weight, x: Tensor): Tensor {
  const y = g.mulMat(weight, x);
  return bias === undefined ? y : g.add(y, bias);
}

function kernelNode(
  g: Graph,
  weights: readonly Weight[],
  x: Tensor,
  { norm, residual }: LinearOptions,
  gated: boolean,
): Tensor {
  const kernels = g.kernels as NonNullable<Graph["kernels"]>;
  return kernels.linear(g, {
    ...{ x, norm, residual, gated },
    weights: weights.map((w) => w.weight),
    biases: weights.map((w) => w.bias),
  });
}
