import type { FeedForwardShape } from "../../src/models/layer-shape.ts";
import { dot } from "./plain-attention.ts";
import type { PlainWeights } from "./plain-weights.ts";

type Naming = (part: string) => string;

/** A layer's feed-forward network, of experts or one. */
export function plainFeedForward(
  weights: PlainWeights,
  name: Naming,
  ffn: FeedForwardShape,
  x: readonly number[],
): number[] {
  if (ffn.kind === "dense") return network(weights, name, "", ffn, x);
  const { nExpert, nExpertUsed, routing } = ffn;
  const logits = weights.times(name("ffn_gate_inp"), x);
  const all = routing.gate === "softmax" ? softmax(logits) : logits;
  const order = logits
    .map((_, e) => e)
    .sort((a, b) => (logits[b] as number) - (logits[a] as number));
  const chosen = order.slice(0, nExpertUsed);
  let shares = chosen.map((e) => all[e] as number);
  if (routing.gate === "softmax-of-chosen") shares = softmax(shares);
  const total = shares.reduce((a, b) => a + b, 0);
  if (routing.renormalises) shares = shares.map((s) => s / total);
  const out = x.map(() => 0);
  chosen.forEach((e, i) => {
    const share = shares[i] as number;
    const given = network(weights, name, "_exps", ffn, x, e, nExpert);
    given.forEach((v, d) => (out[d] = (out[d] as number) + v * share));
  });
  if (ffn.nFfShared === 0) return out;
  const router = weights.values(name("ffn_gate_inp_shexp.weight"));
  const share = router === undefined ? 1 : sigmoid(dot(router, x));
  const shared = network(weights, name, "_shexp", ffn, x);
  return out.map((v, d) => v + share * (shared[d] as number));
}

function network(
  weights: PlainWeights,
  name: Naming,
  suffix: string,
  { activation, nFf }: FeedForwardShape,
  x: readonly number[],
  i = 0,
  n = 1,
): number[] {
  const part = (of: string) => weights.times(name(`ffn_${of}${suffix}`), x, i, n);
  const up = part("up");
  const isGated = weights.has(name(`ffn_gate${suffix}`));
  const gate = isGated ? part("gate") : up.slice(0, nFf);
  const rest = isGated ? up : up.slice(nFf);
  const inner = gate.map((g, f) => {
    const r = rest[f] ?? 1;
    if (activation === "silu") return g * sigmoid(g) * r;
    if (activation === "gelu") return gelu(g) * r;
    const cut = Math.min(g, 7);
    return cut * sigmoid(1.702 * cut) * (Math.max(-7, Math.min(7, r)) + 1);
  });
  return weights.times(name(`ffn_down${suffix}`), inner, i, n);
}

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

/** By its tanh, as ggml has it. */
export function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * x * (1 + 0.044715 * x * x)));
}

function softmax(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const weights = logits.map((x) => Math.exp(x - most));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / total);
}
