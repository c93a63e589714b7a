/**
 * Scores by which whole stretches of `size` tokens win or lose: the stretches by their mean, and within one that is
 * kept in part its best tokens first.
 */
export function inChunks(scores: Float32Array, size: number): Float32Array {
  const n = scores.length;
  const nChunks = Math.ceil(n / size);
  const means = new Float32Array(nChunks);
  for (let c = 0; c < nChunks; c++) {
    const own = scores.subarray(c * size, (c + 1) * size);
    means[c] = own.reduce((a, b) => a + b, 0) / own.length;
  }
  const order = Array.from(means.keys()).sort(
    (a, b) => (means[a] as number) - (means[b] as number) || b - a,
  );
  const place = new Uint32Array(nChunks);
  order.forEach((c, rank) => (place[c] = rank));
  // Places among all tokens are whole numbers, which f32 holds exactly up to 2^24.
  const tokens = Array.from(scores.keys()).sort(
    (a, b) =>
      (place[Math.floor(a / size)] as number) - (place[Math.floor(b / size)] as number) ||
      (scores[a] as number) - (scores[b] as number) ||
      b - a,
  );
  const out = new Float32Array(n);
  tokens.forEach((i, rank) => (out[i] = rank));
  return out;
}
