/** f16 −∞ and 0, as flash attention's masks are written. */
export const MASKED = 0xfc00;
export const VISIBLE = 0;

/**
 * The causal mask of `n` queries after `nPast` keys: f16 [nPast + n, n]. Right-aligned: query i sees
 * the keys up to its own, `nPast + i`, however many the layer or head has kept; the newest `window` of them, its own
 * included, where there is a sliding window.
 */
export function causalMask(nPast: number, n: number, window = Infinity): Uint16Array {
  const nKv = nPast + n;
  const mask = new Uint16Array(nKv * n);
  for (let i = 0; i < n; i++) {
    const last = nPast + i;
    mask.fill(MASKED, i * nKv + last + 1, (i + 1) * nKv);
    if (last >= window) mask.fill(MASKED, i * nKv, i * nKv + last + 1 - window);
  }
  return mask;
}
