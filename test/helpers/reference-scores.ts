import {
  FAR,
  type AttentionKind,
  type HeadEvidence,
  type LayerEvidence,
  type QueryStatistics,
} from "../../src/compression/evidence.ts";

/** A layer's rotated queries and keys, and its values, to compute what methods see in plain loops. */
export interface ReferenceInput {
  /** [nHead][nTokens][headDim], rotated. */
  readonly q: Float32Array;
  /** [nHeadKv][nTokens][headDim], rotated. */
  readonly k: Float32Array;
  /** [nHeadKv][nTokens][headDim] */
  readonly v: Float32Array;
  readonly nTokens: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
}

/** Which queries count, from how far away, and how they add up. */
export interface ReferenceRule {
  readonly nQueries: number;
  /** Whether query `i` of them all counts; all do by default. */
  readonly counts?: (i: number) => boolean;
  readonly distance?: number;
  readonly peaks?: boolean;
}

/**
 * Causal attention that each token receives of the last `nQueries` queries, per query head: [nHead][nTokens].
 * Slow on purpose: every step is visible.
 */
export function referenceScores(input: ReferenceInput, rule: ReferenceRule): Float32Array {
  const { q, k, nTokens, nHead, nHeadKv, headDim } = input;
  const received = new Float64Array(nHead * nTokens);
  for (let h = 0; h < nHead; h++) {
    const kvHead = Math.floor(h / (nHead / nHeadKv));
    for (let i = nTokens - rule.nQueries; i < nTokens; i++) {
      if (rule.counts?.(i) === false) continue;
      const logits: number[] = [];
      for (let j = 0; j <= i; j++) {
        let dot = 0;
        for (let d = 0; d < headDim; d++) {
          const qd = q[(h * nTokens + i) * headDim + d] ?? 0;
          const kd = k[(kvHead * nTokens + j) * headDim + d] ?? 0;
          dot += qd * kd;
        }
        logits.push(dot / Math.sqrt(headDim));
      }
      const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
      const weights = logits.map((x) => Math.exp(x - max));
      const total = weights.reduce((a, b) => a + b, 0);
      weights.forEach((w, j) => {
        if (i - j < (rule.distance ?? 0)) return;
        const at = h * nTokens + j;
        const [before, now] = [received[at] ?? 0, w / total];
        received[at] = rule.peaks === true ? Math.max(before, now) : before + now;
      });
    }
  }
  return Float32Array.from(received);
}

/**
 * Mean and covariance of queries [nHead][nTokens][headDim] before rotation, the first `skip` left out, and the mean
 * rotation of the `future` positions after them (RoPE with base 10,000).
 */
export function referenceQueries(
  { q, nTokens, nHead, nHeadKv, headDim }: ReferenceInput,
  kvHead: number,
  { skip, future, neox }: { skip: number; future: number; neox: boolean },
): QueryStatistics {
  const group = nHead / nHeadKv;
  const mean = new Float32Array(group * headDim);
  const covariance = new Float32Array(group * headDim * headDim);
  const n = nTokens - skip;
  for (let g = 0; g < group; g++) {
    const at = (i: number, d: number) => q[((kvHead * group + g) * nTokens + i) * headDim + d] ?? 0;
    const average = (value: (i: number) => number) => {
      let sum = 0;
      for (let i = skip; i < nTokens; i++) sum += value(i);
      return sum / n;
    };
    for (let d = 0; d < headDim; d++) mean[g * headDim + d] = average((i) => at(i, d));
    for (let d = 0; d < headDim; d++) {
      for (let e = 0; e < headDim; e++) {
        const product = average((i) => at(i, d) * at(i, e));
        const means = (mean[g * headDim + d] ?? 0) * (mean[g * headDim + e] ?? 0);
        covariance[(g * headDim + d) * headDim + e] = product - means;
      }
    }
  }
  const futureRotation = new Float32Array(headDim);
  for (let pair = 0; pair < headDim / 2; pair++) {
    const frequency = 10_000 ** ((-2 * pair) / headDim);
    const [cos, sin] = neox ? [pair, pair + headDim / 2] : [2 * pair, 2 * pair + 1];
    for (let p = nTokens; p < nTokens + future; p++) {
      futureRotation[cos] = (futureRotation[cos] ?? 0) + Math.cos(p * frequency) / future;
      futureRotation[sin] = (futureRotation[sin] ?? 0) + Math.sin(p * frequency) / future;
    }
  }
  return { mean, covariance, futureRotation, neox, rotated: headDim };
}

/** All that a method can rank a layer by but keys before rotation, query statistics and output errors, in plain loops. */
export function referenceEvidence(
  input: ReferenceInput,
  { il = 0, alpha }: { il?: number; alpha: number },
): LayerEvidence {
  const { nTokens: n, nHead, nHeadKv, headDim } = input;
  const group = nHead / nHeadKv;
  const rules: Partial<Record<AttentionKind, ReferenceRule>> = {
    window: { nQueries: Math.min(alpha, n) },
    sums: { nQueries: n },
    "far-sums": { nQueries: n, distance: FAR },
    peaks: { nQueries: n, peaks: true },
  };
  const ruleOf = (kind: AttentionKind) => {
    const rule = rules[kind];
    if (rule === undefined) throw new Error(`the reference has no ${kind}`);
    return rule;
  };
  const scores = new Map<AttentionKind, Float32Array>();
  const all = (kind: AttentionKind) => {
    const known = scores.get(kind) ?? referenceScores(input, ruleOf(kind));
    scores.set(kind, known);
    return known;
  };
  const size = n * headDim;
  const head = (h: number): HeadEvidence => ({
    n,
    group,
    headDim,
    attention: (kind) => all(kind).slice(h * group * n, (h + 1) * group * n),
    counted: (kind) =>
      Float32Array.from({ length: n }, (_, j) => Math.max(0, n - j - (ruleOf(kind).distance ?? 0))),
    keys: () => input.k.slice(h * size, (h + 1) * size),
    values: () => input.v.slice(h * size, (h + 1) * size),
    plainKeys: () => {
      throw new Error("the reference has no keys before rotation");
    },
    queries: () => {
      throw new Error("the reference has no query statistics");
    },
    outputErrors: () => {
      throw new Error("the reference has no output errors");
    },
  });
  return { il, heads: Array.from({ length: nHeadKv }, (_, h) => head(h)) };
}
