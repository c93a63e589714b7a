// AVX2 with FMA and F16C: 8 lanes, 4 x 3 registers of sums.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#define LANES 8
#define TILE_ROWS 4
#define TILE_VECS 3
typedef __m256 vf;
typedef __m256i vu; // units: what one multiply-add takes of one operand, 32 bits

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

INLINE vf v_zero(void) { return _mm256_setzero_ps(); }
INLINE vf v_set1(float x) { return _mm256_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INLINE float v_sum(vf a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
INLINE int v_any_greater(vf a, vf b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0; }

INLINE vf v_from_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
INLINE void v_to_f16(void *p, vf a) { _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a, 0)); }
INLINE vf v_from_bf16(const void *p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE vf v_from_s8(const void *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
INLINE float f16_to_float(uint16_t h) { return _cvtsh_ss(h); }

// Lane by lane: value where first <= x <= last, else other.
INLINE vf v_within(vf value, int x, vu first, vu last, float other) {
  const __m256i at = _mm256_set1_epi32(x);
  const __m256i out = _mm256_or_si256(_mm256_cmpgt_epi32(first, at), _mm256_cmpgt_epi32(at, last));
  return _mm256_blendv_ps(value, _mm256_set1_ps(other), _mm256_castsi256_ps(out));
}

INLINE vu u_set1(uint32_t x) { return _mm256_set1_epi32((int)x); }
INLINE vu u_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE void u_store(void *p, vu a) { _mm256_storeu_si256((__m256i *)p, a); }
INLINE vu u_from_vf(vf a) { return _mm256_castps_si256(a); }
INLINE vf vf_from_u(vu a) { return _mm256_castsi256_ps(a); }

// 2^x by a polynomial of degree 5 (relative error 8e-8); 2^-126 for all that is less.
INLINE vf v_exp2(vf x) {
  x = _mm256_max_ps(x, v_set1(-126.f));
  const vf n = _mm256_round_ps(x, 8), f = _mm256_sub_ps(x, n);
  vf p = v_set1(1.327647129073739e-3f);
  p = v_fma(p, f, v_set1(9.675540961325169e-3f));
  p = v_fma(p, f, v_set1(5.550713092088699e-2f));
  p = v_fma(p, f, v_set1(2.4022120237350464e-1f));
  p = v_fma(p, f, v_set1(6.931469440460205e-1f));
  p = v_fma(p, f, v_set1(1.f));
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23)));
}

// 8 x 8 transpose of 32-bit elements.
INLINE void u_transpose(vu *r) {
  vu t[8];
  UNROLL
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
  }
  UNROLL
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  UNROLL
  for (int i = 0; i < 4; i++) {
    const vu low = _mm256_permute2x128_si256(r[i], r[i + 4], 0x20);
    r[i + 4] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x31);
    r[i] = low;
  }
}

// LANES bytes, shifted right and masked, as floats.
INLINE vf v_bits(const uint8_t *p, int shift, int mask) {
  const vu bytes = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
  return _mm256_cvtepi32_ps(
      _mm256_and_si256(_mm256_srl_epi32(bytes, _mm_cvtsi32_si128(shift)), _mm256_set1_epi32(mask)));
}

// 16 weights of 4 bits, q * d + m.
INLINE void v_nibbles(const uint8_t *q, int high, float d, float m, vf *w) {
  UNROLL
  for (int i = 0; i < 2; i++) w[i] = v_fma(v_bits(q + 8 * i, high ? 4 : 0, 15), v_set1(d), v_set1(m));
}
