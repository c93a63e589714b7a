import { argmax } from "../engine/sampler.ts";

/** How near next-token probabilities are to others. */
export interface Nearness {
  /** KL divergence from the others, in nats. */
  readonly kl: number;
  /** Whether both have the same favourite. */
  readonly same: boolean;
}

/** How near logits are to the expected ones. */
export function nearness(expected: Float32Array, logits: Float32Array): Nearness {
  return { kl: klDivergence(expected, logits), same: argmax(expected) === argmax(logits) };
}

/** Σ p (log p − log q) in nats, with p and q the softmax of two logits. */
export function klDivergence(p: Float32Array, q: Float32Array): number {
  const logP = logSumExp(p);
  const logQ = logSumExp(q);
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const log = (p[i] as number) - logP;
    sum += Math.exp(log) * (log - ((q[i] as number) - logQ));
  }
  return sum;
}

/** −log p of a token, with p the softmax of the logits. */
export function surprise(logits: Float32Array, token: number): number {
  return logSumExp(logits) - (logits[token] as number);
}

function logSumExp(values: Float32Array): number {
  let most = -Infinity;
  for (const v of values) most = Math.max(most, v);
  let sum = 0;
  for (const v of values) sum += Math.exp(v - most);
  return most + Math.log(sum);
}
