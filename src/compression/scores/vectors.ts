/** Rows of `dim` numbers, one after the other: a head's keys or values, ggml's [dim, n]. */

/** Length of each row. */
export function norms(rows: Float32Array, dim: number): Float32Array {
  const out = new Float32Array(rows.length / dim);
  for (let i = 0; i < out.length; i++) {
    let squares = 0;
    for (let d = i * dim; d < (i + 1) * dim; d++) squares += (rows[d] as number) ** 2;
    out[i] = Math.sqrt(squares);
  }
  return out;
}

/** Cosine of each row and the mean of all normalised rows. */
export function cosinesToMean(rows: Float32Array, dim: number): Float32Array {
  const lengths = norms(rows, dim);
  const mean = new Float64Array(dim);
  lengths.forEach((length, i) => {
    const scale = 1 / Math.max(length, 1e-12);
    for (let d = 0; d < dim; d++)
      mean[d] = (mean[d] as number) + (rows[i * dim + d] as number) * scale;
  });
  const meanLength = Math.max(Math.hypot(...mean), 1e-12);
  return lengths.map((length, i) => {
    let dot = 0;
    for (let d = 0; d < dim; d++) dot += (rows[i * dim + d] as number) * (mean[d] as number);
    return dot / meanLength / Math.max(length, 1e-12);
  });
}

/** softmax in place, beside a logit more that takes its share where there is one; returns `values`. */
export function softmax(values: Float32Array, beside = -Infinity): Float32Array {
  let most = beside;
  for (const x of values) most = Math.max(most, x);
  let sum = beside === -Infinity ? 0 : Math.exp(beside - most);
  for (let i = 0; i < values.length; i++) {
    const e = Math.exp((values[i] as number) - most);
    values[i] = e;
    sum += e;
  }
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) / sum;
  return values;
}
