// A few columns times rows of quantized weights, by products of bytes (AVX-512 VNNI) instead of floats: columns are
// rounded to 15 bits with a scale for each block of 32, which is finer than bf16. Half the work of unpacking to floats,
// where the weights' memory is not the limit (Zen 4).
#pragma once
#include "coded.h"
#ifdef __AVX512VNNI__

// Two blocks of a column: values are scale * (128 high + low). Scales are spread over the lanes of their block's
// products.
typedef struct {
  int8_t high[2 * BLOCK], low[2 * BLOCK];
  float scales[LANES], half_sums[4];
  float unused[12];
} byte_pair;

INLINE int64_t pairs_of(int64_t k) { return (k / BLOCK + 1) / 2; }

// Where k has an odd number of blocks, the last pair's second one is 0.
static void bytes_of_column(byte_pair *out, const float *x, int64_t k) {
  memset(out, 0, pairs_of(k) * sizeof *out);
  for (int64_t b = 0; b < k / BLOCK; b++, x += BLOCK) {
    byte_pair *pair = out + b / 2;
    const int second = b % 2;
    const vf most = v_max(_mm512_abs_ps(v_load(x)), _mm512_abs_ps(v_load(x + LANES)));
    const float max = _mm512_reduce_max_ps(most), inverse = max > 0 ? COLUMN_STEPS / max : 0;
    const float scale = max / COLUMN_STEPS;
    UNROLL
    for (int i = 0; i < BLOCK_VECS; i++) {
      const int at = second * BLOCK + i * LANES;
      const vu q = _mm512_cvtps_epi32(v_mul(v_load(x + i * LANES), v_set1(inverse)));
      const vu high = _mm512_srai_epi32(_mm512_add_epi32(q, _mm512_set1_epi32(64)), 7);
      const vu low = _mm512_sub_epi32(q, _mm512_slli_epi32(high, 7));
      _mm_storeu_si128((__m128i *)(pair->high + at), _mm512_cvtepi32_epi8(high));
      _mm_storeu_si128((__m128i *)(pair->low + at), _mm512_cvtepi32_epi8(low));
      pair->half_sums[2 * second + i] = scale * (float)_mm512_reduce_add_epi32(q);
    }
    for (int i = 0; i < LANES / 2; i++) pair->scales[second * LANES / 2 + i] = scale;
  }
}

// sums[c][ROWS_FINISHED] of one row and `nc` columns, a constant where this is inlined.
#define DEFINE_BYTE_DOTS(type, name)                                                                                   \
  INLINE void byte_dots_##name(float *sums, const uint8_t *row, size_t row_bytes, const byte_pair *x, int64_t k,       \
                               int nc) {                                                                               \
    const int blocks = (int)(k / BLOCK), pairs = (int)pairs_of(k);                                                     \
    const size_t step = row_bytes / pairs;                                                                             \
    const __m512i spread = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);                           \
    vf acc[COLUMNS_AT_ONCE];                                                                                           \
    __m128 least[COLUMNS_AT_ONCE];                                                                                     \
    UNROLL                                                                                                             \
    for (int c = 0; c < nc; c++) acc[c] = v_zero(), least[c] = _mm_setzero_ps();                                       \
    for (int p = 0; p < pairs; p++) {                                                                                  \
      __builtin_prefetch(row + p * step + BYTES_AHEAD);                                                                \
      const coded_pair w = pair_at_##name(row, 2 * p, blocks);                                                         \
      const vf d = _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(w.d));                                         \
      UNROLL                                                                                                           \
      for (int c = 0; c < nc; c++) {                                                                                   \
        const byte_pair *x_p = x + (size_t)c * pairs + p;                                                              \
        const vu high = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w.code, u_load(x_p->high));                        \
        const vu both = _mm512_dpbusd_epi32(_mm512_slli_epi32(high, 7), w.code, u_load(x_p->low));                     \
        acc[c] = v_fma(_mm512_cvtepi32_ps(both), v_mul(d, v_load(x_p->scales)), acc[c]);                               \
        least[c] = _mm_fmadd_ps(w.m, _mm_loadu_ps(x_p->half_sums), least[c]);                                          \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL                                                                                                             \
    for (int c = 0; c < nc; c++) sums[c * ROWS_FINISHED] = v_sum(v_add(acc[c], _mm512_zextps128_ps512(least[c])));     \
  }
CODED_TYPES(DEFINE_BYTE_DOTS)
#endif
