import type { Graph } from "../../ggml/graph.ts";
import type { FeedForwardShape } from "../layer-shape.ts";
import { tensorShape, type Tensor } from "../../ggml/tensor-buffer.ts";
import { denseFfn, gated, type FfnWeights } from "./ffn.ts";
import { linear, type Weight } from "./linear.ts";

/** One matrix for each expert: [k, m, nExpert], and its bias f32 [m, nExpert]. */
type Experts = Pick<Weight, "weight" | "bias">;

export interface MoeWeights {
  /** [nEmbd, nExpert] */
  readonly router: Weight;
  readonly gate: Experts;
  readonly up: Experts;
  readonly down: Experts;
  /** What every token passes besides. */
  readonly shared?: FfnWeights | undefined;
  /** [nEmbd, 1]: the sigmoid of its product weighs what the shared expert gives. */
  readonly sharedRouter?: Weight | undefined;
}

/** Smallest normal f16: keeps the weights' sum away from 0, as llama.cpp does. */
const MIN_WEIGHT_SUM = 2 ** -14;

/** A mixture of gated experts: `x` f32 [nEmbd, n], normed → f32 [nEmbd, n]. */
export function moeFfn(g: Graph, x: Tensor, w: MoeWeights, s: FeedForwardShape): Tensor {
  const [nEmbd, n] = tensorShape(x) as [number, number];
  const { nExpertUsed, activation } = s;
  const { chosen, weights } = choose(g, routed(g, w.router, x), s);

  const column = g.reshape(x, nEmbd, 1, n);
  const of = ({ weight, bias }: Experts, h: Tensor): Tensor => {
    const y = g.mulMatId(weight, h, chosen); // [m, used, n]
    return bias === undefined ? y : g.addId(y, bias, chosen);
  };
  const up = of(w.up, column);
  const gate = of(w.gate, column);
  const outputs = g.mul(of(w.down, gated(g, gate, up, activation)), weights); // [nEmbd, used, n]
  g.expand(outputs);

  const expert = (i: number) => g.view2d(outputs, nEmbd, n, nExpertUsed * nEmbd * 4, i * nEmbd * 4);
  let total = expert(0);
  for (let i = 1; i < nExpertUsed; i++) total = g.add(total, expert(i));
  if (nExpertUsed === 1) total = g.contiguous(total);
  return w.shared === undefined ? total : g.add(total, sharedExpert(g, x, w, w.shared, s));
}

/** Which experts read each token, i32 [used, n], and how much of what they give counts, f32 [1, used, n]. */
function choose(g: Graph, logits: Tensor, s: FeedForwardShape) {
  const { nExpert, nExpertUsed, routing } = s;
  const n = tensorShape(logits)[1] as number;
  const probabilities = routing.gate === "softmax" ? g.softMax(logits) : logits; // [nExpert, n]
  const chosen = g.argsortTopK(probabilities, nExpertUsed); // i32 [used, n]
  const picked = g.getRows(g.reshape(probabilities, 1, nExpert, n), chosen); // [1, used, n]
  let flat = g.reshape(picked, nExpertUsed, n);
  if (routing.gate === "softmax-of-chosen") flat = g.softMax(flat);
  if (routing.renormalises) flat = g.div(flat, g.clamp(g.sumRows(flat), MIN_WEIGHT_SUM, Infinity));
  const weights = g.reshape(flat, 1, nExpertUsed, n);
  g.expand(weights);
  return { chosen, weights };
}

function sharedExpert(
  g: Graph,
  x: Tensor,
  { sharedRouter }: MoeWeights,
  shared: FfnWeights,
  { activation, routing }: FeedForwardShape,
): Tensor {
  const y = denseFfn(g, x, shared, activation);
  if (sharedRouter === undefined) return y;
  const logit = routed(g, sharedRouter, x);
  return g.mul(y, routing.dividesSilu === true ? g.div(g.silu(logit), logit) : g.sigmoid(logit));
}

/** Router logits, always in f32. ggml may sum several columns in another order than one; where that must not be, our kernels compute them. */
function routed(g: Graph, router: Weight, x: Tensor): Tensor {
  if (g.columns !== undefined) return linear(g, router, x);
  const logits = g.mulMat(router.weight, x);
  return router.bias === undefined ? logits : g.add(logits, router.bias);
}
