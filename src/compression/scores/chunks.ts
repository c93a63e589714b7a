/**
 * Scores by which whole stretches of `size` tokens win or lose: the stretches by their mean, and within one that is
 * kept in part its best tokens first.
 */
export function inChunks(scores: Float32Array, size: number): Float32Array {
  const n = scores.length;
  const nChunks = Math.ceil(n / size);
  const means = new Float32Array(nChunks);
  for (let c = 0; c < nChunks; c++) {
    const chunk = scores.subarray(c * size, (c + 1) * size);
    let sum = 0;
    for (let i = 0; i < chunk.length; i++) sum += chunk[i] as number;
    means[c] = sum / chunk.length;
  }
  const order = Array.from(means.keys()).sort(
    (a, b) => (means[a] as number) - (means[b] as number) || b - a,
  );
  // Places among all tokens are whole numbers, which f32 holds exactly up to 2^24.
  const out = new Float32Array(n);
  const ranks = new Uint32Array(size);
  let place = 0;
  for (const c of order) {
    const length = Math.min(size, n - c * size);
    for (let i = 0; i < length; i++) insert(ranks, i, c * size + i, scores);
    for (let i = 0; i < length; i++) out[ranks[i] as number] = place++;
  }
  return out;
}

/** Puts a token among the first `n` of `sorted`, which ascend by score; of equal ones the later comes first. */
function insert(sorted: Uint32Array, n: number, token: number, scores: Float32Array): void {
  const score = scores[token] as number;
  let at = n;
  while (at > 0 && (scores[sorted[at - 1] as number] as number) >= score) {
    sorted[at] = sorted[at - 1] as number;
    at--;
  }
  sorted[at] = token;
}
