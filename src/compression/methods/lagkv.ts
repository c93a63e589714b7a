import { uniform } from "../budgets/uniform.ts";
import type { HeadEvidence } from "../evidence.ts";
import type { ListedMethod } from "../method.ts";
import { softmax } from "../scores/vectors.ts";

/** Stretches that tokens fewer than two whole ones are divided into: three are compared with the next. */
const FEWEST_STRETCHES = 4;

/**
 * Keeps the tokens that vary most when seen with the eyes of the stretch of text after theirs.
 *
 * Paper: LagKV: Lag-Relative Information of the KV Cache Tells Which Tokens Are Important, arXiv 2504.04704.
 * In stretches of `lag` tokens after the sinks: each channel is scaled by the minimum and maximum of the next stretch,
 * score = softmax over the stretch of the standard deviation over channels, the mean of keys' and values'. As in
 * kvpress (lagkv_press.py, cross_scoring false) each stretch ranks by itself (rank within it / lag), so that all keep
 * alike; what follows the last stretch that has a next one comes before all of them, the newest first, and sinks are
 * kept.
 */
export const lagkv: ListedMethod = {
  name: "lagkv",
  summary: "keeps the tokens that stand out from the text after them",
  standing: "paper",
  paper: "arXiv 2504.04704",
  deviations: [
    "where tokens do not fill two stretches, which the authors leave uncut, the stretches become shorter",
    "while decoding (`every`) what was kept is divided into stretches again (the authors compress each stretch once)",
  ],
  queryAware: false,
  needs: ["keys", "values"],
  score: ({ heads }, o) => heads.map((head) => ({ scores: lagScores(head, o.sinks, o.lag) })),
  options: ["kvSize", "sinks", "lag"],
  defaults: { window: 0, sinks: 4 },
  budget: uniform,
};

function lagScores(head: HeadEvidence, sinks: number, askedLag: number): Float32Array {
  const { n, headDim } = head;
  const isShort = n - sinks < 2 * askedLag;
  const lag = isShort ? Math.max(2, Math.floor((n - sinks) / FEWEST_STRETCHES)) : askedLag;
  const stretches = Math.floor((n - sinks) / lag);
  // Ranks of stretches are below 1; the newest token has the highest score of all.
  const scores = Float32Array.from({ length: n }, (_, i) => 1 + i / n);
  const [keys, values] = [head.keys(), head.values()];
  for (let s = 0; s + 1 < stretches; s++) {
    const first = sinks + s * lag;
    const of = (rows: Float32Array) => deviations(rows, headDim, first, lag);
    const [k, v] = [of(keys), of(values)];
    const means = k.map((x, i) => (x + (v[i] as number)) / 2);
    ranksWithin(means).forEach((rank, i) => (scores[first + i] = rank / lag));
  }
  return scores;
}

/** softmax over a stretch of the standard deviation over channels, each scaled by the next stretch. */
function deviations(rows: Float32Array, dim: number, first: number, lag: number): Float32Array {
  const at = (i: number, d: number) => rows[i * dim + d] as number;
  const low = new Float32Array(dim).fill(Infinity);
  const high = new Float32Array(dim).fill(-Infinity);
  for (let i = first + lag; i < first + 2 * lag; i++) {
    for (let d = 0; d < dim; d++) {
      low[d] = Math.min(low[d] as number, at(i, d));
      high[d] = Math.max(high[d] as number, at(i, d));
    }
  }
  const out = new Float32Array(lag);
  for (let i = 0; i < lag; i++) {
    let [sum, squares] = [0, 0];
    for (let d = 0; d < dim; d++) {
      const [l, h] = [low[d] as number, high[d] as number];
      const x = (at(first + i, d) - l) / (h - l);
      sum += x;
      squares += x * x;
    }
    out[i] = Math.sqrt(Math.max(0, (squares - (sum * sum) / dim) / (dim - 1))); // torch's unbiased std
  }
  return softmax(out);
}

/** Each value's place among all, 0 the lowest; the lower index first on ties. */
function ranksWithin(values: Float32Array): Float32Array {
  const order = Array.from(values.keys()).sort(
    (a, b) => (values[a] as number) - (values[b] as number) || a - b,
  );
  const ranks = new Float32Array(values.length);
  order.forEach((i, rank) => (ranks[i] = rank));
  return ranks;
}
