// Quantized weights as codes of one byte: a weight is d * code + m.
#pragma once
#include "weights.h"
#ifdef __AVX512VNNI__
// The codes of block b of a row, scale and minimum of its two halves.
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
  return (coded){_mm256_and_si256(shifted, _mm256_set1_epi8(15)), {d, d}, {m, m}};
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
  return (coded){_mm256_xor_si256(bytes_at(p + 2), _mm256_set1_epi8((char)128)), {d, d}, {-128 * d, -128 * d}};
}
INLINE coded coded_q4_K(const uint8_t *row, int b) {
  float d, m;
  const uint8_t *q = q4_K_block(row, b, &d, &m);
  return (coded){bits_of(bytes_at(q), b & 1 ? 4 : 0, 15), {d, d}, {m, m}};
}
INLINE coded coded_q6_K(const uint8_t *row, int b) {
  const q6_K_block p = q6_K_block_at(row, b);
  const __m256i two = _mm256_slli_epi16(bits_of(bytes_at(p.high), p.high_shift, 3), 4);
  const float d0 = p.d * p.scales[0], d1 = p.d * p.scales[1];
  return (coded){_mm256_or_si256(bits_of(bytes_at(p.low), p.low_shift, 15), two), {d0, d1}, {-32 * d0, -32 * d1}};
}
// Types whose halves are alike, and all.
#define EVEN_CODED_TYPES(F) F(T_Q8_0, q8_0) F(T_Q4_0, q4_0) F(T_Q4_1, q4_1) F(T_Q4_K, q4_K)
#define CODED_TYPES(F) EVEN_CODED_TYPES(F) F(T_Q6_K, q6_K)
#endif
