import { uniform } from "../budgets/uniform.ts";
import type { HeadEvidence, QueryStatistics } from "../evidence.ts";
import type { ListedMethod } from "../method.ts";
import { norms, softmax } from "../scores/vectors.ts";

/**
 * Keeps what queries like the prompt's would attend to from the positions to come: the question need not be known.
 *
 * Paper: Expected Attention, arXiv 2510.00636; formulas of kvpress 0.5.4, expected_attention_press.py.
 * With μ, Σ the mean and covariance of the queries and R the mean rotation over the next positions:
 * score(j) = mean over the group of softmax_j(k_j·Rμ / √d + k_j RΣRᵀ k_j / 2d), times ‖v_j‖.
 */
export const expectedAttention: ListedMethod = {
  name: "expected-attention",
  summary: "keeps what queries to come are expected to attend to",
  standing: "paper",
  paper: "arXiv 2510.00636",
  deviations: [
    "sinks are left out of the statistics, and kept by force, but not left out of the softmax (kvpress drops them first)",
    "there is no ε added to the probabilities before they are multiplied by ‖v‖ (kvpress's benchmarks: 0.01), and budgets are even over the heads (there: AdaKV's)",
    "pairs rotate by their mean cosine and sine: the same matrix, kept as pairs",
  ],
  queryAware: false,
  needs: ["queries", "keys", "values"],
  score: ({ heads }) => heads.map((head) => ({ scores: expected(head) })),
  options: ["kvSize", "window", "sinks"],
  defaults: { sinks: 4, window: 0 },
  budget: uniform,
};

function expected(head: HeadEvidence): Float32Array {
  const { n, group, headDim: dim } = head;
  const statistics = head.queries();
  const keys = head.keys();
  const mean = new Float32Array(n);
  for (let g = 0; g < group; g++) {
    const { mu, sigma } = rotated(statistics, g, dim);
    const logits = new Float32Array(n);
    for (let j = 0; j < n; j++) {
      const at = j * dim;
      let [linear, square] = [0, 0];
      for (let d = 0; d < dim; d++) {
        const key = keys[at + d] as number;
        linear += (mu[d] as number) * key;
        // RΣRᵀ is symmetric: half of it is enough.
        let half = 0.5 * (sigma[d * dim + d] as number) * key;
        for (let e = 0; e < d; e++)
          half += (sigma[d * dim + e] as number) * (keys[at + e] as number);
        square += 2 * half * key;
      }
      logits[j] = linear / Math.sqrt(dim) + square / dim / 2;
    }
    softmax(logits).forEach((p, j) => (mean[j] = (mean[j] as number) + p / group));
  }
  const lengths = norms(head.values(), dim);
  return mean.map((p, j) => p * (lengths[j] as number));
}

/** Mean and covariance of one query head, turned by the mean rotation R: Rμ and RΣRᵀ. */
function rotated(
  { mean, covariance, futureRotation, neox, rotated: dims }: QueryStatistics,
  g: number,
  dim: number,
): { mu: Float64Array; sigma: Float64Array } {
  const mu = Float64Array.from(mean.subarray(g * dim, (g + 1) * dim));
  const sigma = Float64Array.from(covariance.subarray(g * dim * dim, (g + 1) * dim * dim));
  const half = dims / 2;
  const turn = (values: Float64Array, offset: number, step: number) => {
    for (let i = 0; i < half; i++) {
      const [d0, d1] = neox ? [i, i + half] : [2 * i, 2 * i + 1];
      const [cos, sin] = [futureRotation[d0] as number, futureRotation[d1] as number];
      const [p0, p1] = [offset + d0 * step, offset + d1 * step];
      const [a, b] = [values[p0] as number, values[p1] as number];
      values[p0] = a * cos - b * sin;
      values[p1] = a * sin + b * cos;
    }
  };
  turn(mu, 0, 1);
  for (let row = 0; row < dim; row++) turn(sigma, row * dim, 1); // Σ Rᵀ
  for (let column = 0; column < dim; column++) turn(sigma, column, dim); // R (Σ Rᵀ)
  return { mu, sigma };
}
