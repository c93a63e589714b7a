// A few columns times rows of quantized weights, by products of bytes (AVX-512 VNNI) instead of floats: columns are
// rounded to 15 bits with a scale for each block of 32, which is finer than bf16. Half the work of unpacking to floats,
// where the weights' memory is not the limit (Zen 4).
#pragma once
#include "coded.h"
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
