/**
 * Scores in plain loops, to check the graphs against. Slow on purpose: every step is visible.
 */
export interface ReferenceInput {
  /** [nHead][nTokens][headDim], rotated. */
  readonly q: Float32Array;
  /** [nHeadKv][nTokens][headDim], rotated. */
  readonly k: Float32Array;
  readonly nTokens: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
}

/**
 * Σ over the last `nQueries` queries of their causal attention, per query head: [nHead][nTokens].
 * `nQueries = alpha` gives SnapKV's and PyramidKV's score, `nQueries = nTokens` H2O's.
 */
export function referenceScores(input: ReferenceInput, nQueries: number): Float32Array {
  const { q, k, nTokens, nHead, nHeadKv, headDim } = input;
  const sums = new Float64Array(nHead * nTokens);
  for (let h = 0; h < nHead; h++) {
    const kvHead = Math.floor(h / (nHead / nHeadKv));
    for (let i = nTokens - nQueries; i < nTokens; i++) {
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
        sums[h * nTokens + j] = (sums[h * nTokens + j] ?? 0) + w / total;
      });
    }
  }
  return Float32Array.from(sums);
}
