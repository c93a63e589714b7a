/** Ridge beside the mean of the diagonal: keys may span less than their dimension. */
const RIDGE = 1e-4;

/**
 * How much each row stands out from the others: xᵀ (XᵀX + εI)⁻¹ x of the rows less their mean, f32 [dim, n] → [n].
 * Rows that lie in a direction of their own have 1, many alike share it.
 */
export function leverage(rows: Float32Array, dim: number): Float32Array {
  const n = rows.length / dim;
  const centred = Float64Array.from(rows);
  for (let d = 0; d < dim; d++) {
    let mean = 0;
    for (let at = d; at < rows.length; at += dim) mean += (rows[at] as number) / n;
    for (let at = d; at < rows.length; at += dim) centred[at] = (centred[at] as number) - mean;
  }
  const factor = cholesky(gram(centred, dim), dim);
  // With XᵀX = L Lᵀ it is ‖L⁻¹ x‖².
  const y = new Float64Array(dim);
  return Float32Array.from({ length: n }, (_, i) => {
    let squares = 0;
    for (let r = 0; r < dim; r++) {
      let sum = centred[i * dim + r] as number;
      for (let c = 0; c < r; c++) sum -= (factor[r * dim + c] as number) * (y[c] as number);
      const value = sum / (factor[r * dim + r] as number);
      y[r] = value;
      squares += value * value;
    }
    return squares;
  });
}

/** XᵀX + εI, its lower triangle. */
function gram(x: Float64Array, dim: number): Float64Array {
  const out = new Float64Array(dim * dim);
  for (let at = 0; at < x.length; at += dim) {
    for (let r = 0; r < dim; r++) {
      const value = x[at + r] as number;
      for (let c = 0; c <= r; c++) {
        out[r * dim + c] = (out[r * dim + c] as number) + value * (x[at + c] as number);
      }
    }
  }
  let trace = 0;
  for (let d = 0; d < dim; d++) trace += out[d * dim + d] as number;
  const ridge = Math.max((RIDGE * trace) / dim, 1e-12);
  for (let d = 0; d < dim; d++) out[d * dim + d] = (out[d * dim + d] as number) + ridge;
  return out;
}

/** L with L Lᵀ = A, in place of A's lower triangle. */
function cholesky(a: Float64Array, dim: number): Float64Array {
  for (let r = 0; r < dim; r++) {
    for (let c = 0; c <= r; c++) {
      let sum = a[r * dim + c] as number;
      for (let k = 0; k < c; k++) sum -= (a[r * dim + k] as number) * (a[c * dim + k] as number);
      a[r * dim + c] = r === c ? Math.sqrt(sum) : sum / (a[c * dim + c] as number);
    }
  }
  return a;
}
