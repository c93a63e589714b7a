// A few columns times rows of quantized weights, by products of bytes (AVX-512 VNNI) instead of floats: a weight is
// d * code + m with a code of one byte, and columns are rounded to 15 bits with a scale for each block of 32, which is
// finer than bf16. Half the work of unpacking to floats, where the weights' memory is not the limit (Zen 4).
#pragma once
#include "weights.h"
#ifdef __AVX512VNNI__
#define COLUMN_STEPS 16256 // 127 * 128: the high byte is a signed one, the low one within -64 .. 63

// What a block of a column is: its values are scale * (128 high + low).
typedef struct {
  int8_t high[BLOCK], low[BLOCK];
  float scale, sum, half_sums[2];
  float unused[12];
} byte_block;

static void bytes_of_column(byte_block *out, const float *x, int64_t k) {
  for (int64_t b = 0; b < k / BLOCK; b++, x += BLOCK, out++) {
    const vf most = v_max(_mm512_abs_ps(v_load(x)), _mm512_abs_ps(v_load(x + LANES)));
    const float max = _mm512_reduce_max_ps(most), inverse = max > 0 ? COLUMN_STEPS / max : 0;
    out->scale = max / COLUMN_STEPS;
    UNROLL
    for (int i = 0; i < BLOCK_VECS; i++) {
      const vu q = _mm512_cvtps_epi32(v_mul(v_load(x + i * LANES), v_set1(inverse)));
      const vu high = _mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(64)), 7);
      const vu low = _mm512_sub_epi32(q, _mm512_slli_epi32(high, 7));
      _mm_storeu_si128((__m128i *)(out->high + i * LANES), _mm512_cvtepi32_epi8(high));
      _mm_storeu_si128((__m128i *)(out->low + i * LANES), _mm512_cvtepi32_epi8(low));
      out->half_sums[i] = out->scale * (float)_mm512_reduce_add_epi32(q);
    }
    out->sum = out->half_sums[0] + out->half_sums[1];
  }
}

// The codes of block b of a row; scale and minimum of its two halves, where `halves` of its type says they differ.
typedef struct {
  __m256i code;
  float d[2], m[2];
} coded;

INLINE __m256i bytes_at(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE __m256i bits_of(__m256i x, int shift, int mask) {
  return _mm256_and_si256(_mm256_srl_epi16(x, _mm_cvtsi32_si128(shift)), _mm256_set1_epi8((char)mask));
}
INLINE coded coded_nibbles(const uint8_t *q, float d, float m) { // low nibbles, then the high ones
  const __m256i twice = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)q));
  const __m256i shifted = _mm256_srlv_epi32(twice, _mm256_set_epi32(4, 4, 4, 4, 0, 0, 0, 0));
  return (coded){_mm256_and_si256(shifted, _mm256_set1_epi8(15)), {d}, {m}};
}
INLINE coded coded_q4_0(const uint8_t *row, int b) {
  const uint8_t *p = row + b * 18;
  const float d = half_at(p);
  return coded_nibbles(p + 2, d, -8 * d);
}
INLINE coded coded_q4_1(const uint8_t *row, int b) {
  const uint8_t *p = row + b * 20;
  return coded_nibbles(p + 4, half_at(p), half_at(p + 2));
}
INLINE coded coded_q8_0(const uint8_t *row, int b) {
  const uint8_t *p = row + b * 34;
  const float d = half_at(p);
  return (coded){_mm256_xor_si256(bytes_at(p + 2), _mm256_set1_epi8((char)128)), {d}, {-128 * d}};
}
INLINE coded coded_q4_K(const uint8_t *row, int b) {
  float d, m;
  const uint8_t *q = q4_K_block(row, b, &d, &m);
  return (coded){bits_of(bytes_at(q), b & 1 ? 4 : 0, 15), {d}, {m}};
}
INLINE coded coded_q6_K(const uint8_t *row, int b) {
  const q6_K_block p = q6_K_block_at(row, b);
  const __m256i two = _mm256_slli_epi16(bits_of(bytes_at(p.high), p.high_shift, 3), 4);
  const float d0 = p.d * p.scales[0], d1 = p.d * p.scales[1];
  return (coded){_mm256_or_si256(bits_of(bytes_at(p.low), p.low_shift, 15), two), {d0, d1}, {-32 * d0, -32 * d1}};
}
#define CODED_TYPES(F) F(T_Q8_0, q8_0, 0) F(T_Q4_0, q4_0, 0) F(T_Q4_1, q4_1, 0) F(T_Q4_K, q4_K, 0) F(T_Q6_K, q6_K, 1)

// sums[c][ROWS_FINISHED] of `nr` rows and `nc` columns, both constants where this is inlined.
#define DEFINE_BYTE_DOTS(type, name, halves)                                                                           \
  INLINE void byte_dots_##name(float *sums, const uint8_t *w, size_t row_bytes, int nr, const byte_block *x,           \
                               int64_t k, int nc) {                                                                    \
    const int64_t blocks = k / BLOCK;                                                                                  \
    __m256 acc[ROWS_AT_ONCE][COLUMNS_AT_ONCE];                                                                         \
    float least[ROWS_AT_ONCE][COLUMNS_AT_ONCE];                                                                        \
    UNROLL                                                                                                             \
    for (int r = 0; r < nr; r++) UNROLL                                                                                \
    for (int c = 0; c < nc; c++) acc[r][c] = _mm256_setzero_ps(), least[r][c] = 0;                                     \
    for (int64_t b = 0; b < blocks; b++) {                                                                             \
      UNROLL                                                                                                           \
      for (int r = 0; r < nr; r++) {                                                                                   \
        const coded w_b = coded_##name(w + (size_t)r * row_bytes, (int)b);                                             \
        __builtin_prefetch(w + (size_t)r * row_bytes + b * row_bytes / blocks + BYTES_AHEAD);                          \
        const __m256 d =                                                                                               \
            halves ? _mm256_set_m128(_mm_set1_ps(w_b.d[1]), _mm_set1_ps(w_b.d[0])) : _mm256_set1_ps(w_b.d[0]);         \
        UNROLL                                                                                                         \
        for (int c = 0; c < nc; c++) {                                                                                 \
          const byte_block *x_b = x + c * blocks + b;                                                                  \
          const __m256i high = _mm256_dpbusd_epi32(_mm256_setzero_si256(), w_b.code, bytes_at(x_b->high));             \
          const __m256i both = _mm256_dpbusd_epi32(_mm256_slli_epi32(high, 7), w_b.code, bytes_at(x_b->low));          \
          const __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(x_b->scale));                                           \
          acc[r][c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(both), scale, acc[r][c]);                                     \
          least[r][c] += halves ? w_b.m[0] * x_b->half_sums[0] + w_b.m[1] * x_b->half_sums[1] : w_b.m[0] * x_b->sum;   \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL                                                                                                             \
    for (int r = 0; r < nr; r++) UNROLL                                                                                \
    for (int c = 0; c < nc; c++) sums[c * ROWS_FINISHED + r] = v_sum(_mm512_zextps256_ps512(acc[r][c])) + least[r][c]; \
  }
CODED_TYPES(DEFINE_BYTE_DOTS)
#endif
