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

// Two blocks of a row; d and m of each half block.
typedef struct {
  __m512i code;
  __m128 d, m;
} coded_pair;

INLINE coded_pair joined(coded a, coded b) {
  return (coded_pair){_mm512_inserti64x4(_mm512_castsi256_si512(a.code), b.code, 1),
                      _mm_set_ps(b.d[1], b.d[0], a.d[1], a.d[0]), _mm_set_ps(b.m[1], b.m[0], a.m[1], a.m[0])};
}
INLINE coded_pair pair_q6_K(const uint8_t *row, int b) { return joined(coded_q6_K(row, b), coded_q6_K(row, b + 1)); }
INLINE coded_pair pair_q4_K(const uint8_t *row, int b) { return joined(coded_q4_K(row, b), coded_q4_K(row, b + 1)); }

INLINE __m512i pair_nibbles(const uint8_t *a, const uint8_t *b) {
  const __m512i first = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)a));
  const __m512i both = _mm512_mask_broadcast_i32x4(first, 0xff00, _mm_loadu_si128((const __m128i *)b));
  const __m512i shifts = _mm512_set_epi32(4, 4, 4, 4, 0, 0, 0, 0, 4, 4, 4, 4, 0, 0, 0, 0);
  return _mm512_and_si512(_mm512_srlv_epi32(both, shifts), _mm512_set1_epi8(15));
}
// Halves at a and b, and those behind them.
INLINE __m128 pair_halves(const uint8_t *a, const uint8_t *b) {
  int32_t x, y;
  memcpy(&x, a, 4), memcpy(&y, b, 4);
  return _mm_cvtph_ps(_mm_insert_epi32(_mm_cvtsi32_si128(x), y, 1));
}
INLINE coded_pair pair_q4_1(const uint8_t *row, int b) {
  const uint8_t *p = row + b * 20;
  const __m128 dm = pair_halves(p, p + 20);
  return (coded_pair){pair_nibbles(p + 4, p + 24), _mm_moveldup_ps(dm), _mm_movehdup_ps(dm)};
}
INLINE coded_pair pair_q4_0(const uint8_t *row, int b) {
  const uint8_t *p = row + b * 18;
  const __m128 d = _mm_moveldup_ps(pair_halves(p, p + 18));
  return (coded_pair){pair_nibbles(p + 2, p + 20), d, _mm_mul_ps(d, _mm_set1_ps(-8))};
}
INLINE coded_pair pair_q8_0(const uint8_t *row, int b) {
  const uint8_t *p = row + b * 34;
  const __m128 d = _mm_moveldup_ps(pair_halves(p, p + 34));
  const __m512i code = _mm512_inserti64x4(_mm512_castsi256_si512(bytes_at(p + 2)), bytes_at(p + 36), 1);
  return (coded_pair){_mm512_xor_si512(code, _mm512_set1_epi8((char)128)), d, _mm_mul_ps(d, _mm_set1_ps(-128))};
}

// Types whose halves are alike, and all.
#define EVEN_CODED_TYPES(F) F(T_Q8_0, q8_0) F(T_Q4_0, q4_0) F(T_Q4_1, q4_1) F(T_Q4_K, q4_K)
#define CODED_TYPES(F) EVEN_CODED_TYPES(F) F(T_Q6_K, q6_K)

// Blocks b and b + 1 of a row of `blocks`; beyond its end 0.
#define DEFINE_PAIR_AT(type, name)                                                                                     \
  INLINE coded_pair pair_at_##name(const uint8_t *row, int b, int blocks) {                                            \
    return b + 1 < blocks ? pair_##name(row, b) : joined(coded_##name(row, b), (coded){0});                            \
  }
CODED_TYPES(DEFINE_PAIR_AT)
#endif
