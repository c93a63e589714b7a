// Weights as floats, 32 at a time, for the block formats of ggml (ggml-common.h; formulas of ggml-quants.c).
#pragma once
#include "tensor.h"
#include <string.h>

#define BLOCK 32
#define BLOCK_VECS (BLOCK / LANES)

INLINE float half_at(const uint8_t *p) {
  uint16_t h;
  memcpy(&h, p, 2);
  return f16_to_float(h);
}

INLINE void v_scale(vf *w, int n, float d) {
  UNROLL
  for (int i = 0; i < n; i++) w[i] = v_mul(w[i], v_set1(d));
}

INLINE void read_f32(const uint8_t *row, int b, vf *w) {
  UNROLL
  for (int i = 0; i < BLOCK_VECS; i++) w[i] = v_load((const float *)row + b * BLOCK + i * LANES);
}
INLINE void read_f16(const uint8_t *row, int b, vf *w) {
  UNROLL
  for (int i = 0; i < BLOCK_VECS; i++) w[i] = v_from_f16((const uint16_t *)row + b * BLOCK + i * LANES);
}
INLINE void read_bf16(const uint8_t *row, int b, vf *w) {
  UNROLL
  for (int i = 0; i < BLOCK_VECS; i++) w[i] = v_from_bf16((const uint16_t *)row + b * BLOCK + i * LANES);
}
INLINE void read_q8_0(const uint8_t *row, int b, vf *w) {
  const uint8_t *p = row + b * 34;
  UNROLL
  for (int i = 0; i < BLOCK_VECS; i++) w[i] = v_from_s8(p + 2 + i * LANES);
  v_scale(w, BLOCK_VECS, half_at(p));
}
INLINE void read_q4_0(const uint8_t *row, int b, vf *w) {
  const uint8_t *p = row + b * 18;
  const float d = half_at(p);
  v_nibbles(p + 2, 0, d, -8 * d, w);
  v_nibbles(p + 2, 1, d, -8 * d, w + BLOCK_VECS / 2);
}
INLINE void read_q4_1(const uint8_t *row, int b, vf *w) {
  const uint8_t *p = row + b * 20;
  const float d = half_at(p), m = half_at(p + 2);
  v_nibbles(p + 4, 0, d, m, w);
  v_nibbles(p + 4, 1, d, m, w + BLOCK_VECS / 2);
}
// 256 weights: f16 scale and minimum, eight pairs of 6-bit scales and minima in 12 bytes, 128 bytes of nibbles.
// Scale and minimum of block b, and its 32 bytes: low nibbles are an even block's, high ones the next one's.
INLINE const uint8_t *q4_K_block(const uint8_t *row, int b, float *d, float *m) {
  const uint8_t *p = row + (b / 8) * 144, *s = p + 4;
  const int j = b % 8;
  const int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
  const int least = j < 4 ? s[j + 4] & 63 : (s[j + 4] >> 4) | (s[j] >> 6) << 4;
  *d = half_at(p) * scale, *m = -half_at(p + 2) * least;
  return p + 16 + (j / 2) * 32;
}
INLINE void read_q4_K(const uint8_t *row, int b, vf *w) {
  float d, m;
  const uint8_t *q = q4_K_block(row, b, &d, &m);
  if (b & 1) {
    v_nibbles(q, 1, d, m, w);
    v_nibbles(q + 16, 1, d, m, w + BLOCK_VECS / 2);
  } else {
    v_nibbles(q, 0, d, m, w);
    v_nibbles(q + 16, 0, d, m, w + BLOCK_VECS / 2);
  }
}
// 256 weights: low 4 bits in 128 bytes, high 2 bits in 64, sixteen 8-bit scales, f16 scale.
typedef struct {
  const uint8_t *low, *high;
  int low_shift, high_shift;
  float d;
  const int8_t *scales; // of its two halves
} q6_K_block;
INLINE q6_K_block q6_K_block_at(const uint8_t *row, int b) {
  const uint8_t *p = row + (b / 8) * 210;
  const int half = (b / 4) % 2, quarter = b % 4;
  return (q6_K_block){p + half * 64 + (quarter % 2) * 32,
                      p + 128 + half * 32,
                      quarter < 2 ? 0 : 4,
                      2 * quarter,
                      half_at(p + 208),
                      (const int8_t *)p + 192 + half * 8 + quarter * 2};
}
INLINE void read_q6_K(const uint8_t *row, int b, vf *w) {
  const q6_K_block p = q6_K_block_at(row, b);
  UNROLL
  for (int i = 0; i < BLOCK_VECS; i++) {
    const vf four = v_bits(p.low + i * LANES, p.low_shift, 15), two = v_bits(p.high + i * LANES, p.high_shift, 3);
    const float scale = p.d * p.scales[2 * i / BLOCK_VECS];
    w[i] = v_fma(v_fma(two, v_set1(16), four), v_set1(scale), v_set1(-32 * scale));
  }
}
