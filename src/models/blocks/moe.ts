import type { Graph } from "../../ggml/graph.ts";
import type { FeedForwardShape } from "../layer-shape.ts";
import { tensorShape, type Tensor } from "../../ggml/tensor-buffer.ts";
import { linear, type Weight } from "./linear.ts";

export interface MoeWeights {
  /** [nEmbd, nExpert] */
  readonly router: Weight;
  /** [nEmbd, nFf, nExpert] */
  readonly gate: Tensor;
  /** [nEmbd, nFf, nExpert] */
  readonly up: Tensor;
  /** [nFf, nEmbd, nExpert] */
  readonly down: Tensor;
}

/** Smallest normal f16: keeps the weights' sum away from 0, as llama.cpp does. */
const MIN_WEIGHT_SUM = 2 ** -14;

/** Softmax-routed mixture of gated experts, weights of the chosen ones renormalised (Mixtral). */
export function moeFfn(g: Graph, x: Tensor, w: MoeWeights, s: FeedForwardShape): Tensor {
  const [nEmbd, n] = tensorShape(x) as [number, number];
  const probabilities = g.softMax(routed(g, w.router, x)); // [nExpert, n]
  const chosen = g.argsortTopK(probabilities, s.nExpertUsed); // i32 [nExpertUsed, n]
  const picked = g.getRows(g.reshape(probabilities, 1, s.nExpert, n), chosen); // [1, used, n]
  const flat = g.reshape(picked, s.nExpertUsed, n);
  const sum = g.clamp(g.sumRows(flat), MIN_WEIGHT_SUM, Infinity);
  const weights = g.reshape(g.div(flat, sum), 1, s.nExpertUsed, n);
  g.expand(weights);

  const column = g.reshape(x, nEmbd, 1, n);
  const up = g.mulMatId(w.up, column, chosen); // [nFf, used, n]
  const gate = g.mulMatId(w.gate, column, chosen);
  const outputs = g.mul(g.mulMatId(w.down, g.swiglu(gate, up), chosen), weights); // [nEmbd, used, n]
  g.expand(outputs);

  const expert = (i: number) =>
    g.view2d(outputs, nEmbd, n, s.nExpertUsed * nEmbd * 4, i * nEmbd * 4);
  let total = expert(0);
  for (let i = 1; i < s.nExpertUsed; i++) total = g.add(total, expert(i));
  return s.nExpertUsed === 1 ? g.contiguous(total) : total;
}

/** Router logits, always in f32. ggml may sum several columns in another order than one; where that must not be, our kernels compute them. */
function routed(g: Graph, router: Weight, x: Tensor): Tensor {
  return g.columns === undefined ? g.mulMat(router.weight, x) : linear(g, router, x);
}
