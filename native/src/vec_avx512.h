// AVX-512 (F, BW, DQ, VL): 16 lanes, 8 x 3 registers of sums.
#pragma once
#include <immintrin.h>
#include <stdint.h>

#define LANES 16
#define TILE_ROWS 8
#define TILE_VECS 3
typedef __m512 vf;
typedef __m512i vu; // units: what one multiply-add takes of one operand, 32 bits

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

INLINE vf v_zero(void) { return _mm512_setzero_ps(); }
INLINE vf v_set1(float x) { return _mm512_set1_ps(x); }
INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE float v_sum(vf a) { return _mm512_reduce_add_ps(a); }
INLINE int v_any_greater(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }

INLINE vf v_from_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE void v_to_f16(void *p, vf a) { _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, 0)); }
INLINE vf v_from_bf16(const void *p) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
INLINE vf v_from_s8(const void *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
INLINE float f16_to_float(uint16_t h) { return _cvtsh_ss(h); }

// Lane by lane: value where first <= x <= last, else other.
INLINE vf v_within(vf value, int x, vu first, vu last, float other) {
  const __m512i at = _mm512_set1_epi32(x);
  const __mmask16 in = _mm512_cmple_epi32_mask(first, at) & _mm512_cmple_epi32_mask(at, last);
  return _mm512_mask_mov_ps(_mm512_set1_ps(other), in, value);
}

INLINE vu u_set1(uint32_t x) { return _mm512_set1_epi32((int)x); }
INLINE vu u_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void u_store(void *p, vu a) { _mm512_storeu_si512(p, a); }

// 2^x by a polynomial of degree 5 (relative error 8e-8); 0 far below.
INLINE vf v_exp2(vf x) {
  const vf n = _mm512_roundscale_ps(x, 8), f = _mm512_sub_ps(x, n);
  vf p = v_set1(1.327647129073739e-3f);
  p = v_fma(p, f, v_set1(9.675540961325169e-3f));
  p = v_fma(p, f, v_set1(5.550713092088699e-2f));
  p = v_fma(p, f, v_set1(2.4022120237350464e-1f));
  p = v_fma(p, f, v_set1(6.931469440460205e-1f));
  p = v_fma(p, f, v_set1(1.f));
  return _mm512_scalef_ps(p, n);
}

// 16 x 16 transpose of 32-bit elements.
INLINE void u_transpose(vu *r) {
  vu t[16];
  UNROLL
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  UNROLL
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  UNROLL
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  UNROLL
  for (int i = 0; i < 8; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

INLINE vu u_from_vf(vf a) { return _mm512_castps_si512(a); }
INLINE vf vf_from_u(vu a) { return _mm512_castsi512_ps(a); }

// LANES bytes, shifted right and masked, as floats.
INLINE vf v_bits(const uint8_t *p, int shift, int mask) {
  const vu bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
  return _mm512_cvtepi32_ps(
      _mm512_and_si512(_mm512_srl_epi32(bytes, _mm_cvtsi32_si128(shift)), _mm512_set1_epi32(mask)));
}

// 16 weights of 4 bits, q * d + m: the 16 values as a table that is looked up.
INLINE void v_nibbles(const uint8_t *q, int high, float d, float m, vf *w) {
  const vf count = _mm512_set_ps(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const vf table = v_fma(count, v_set1(d), v_set1(m));
  const vu bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)q));
  w[0] = _mm512_permutexvar_ps(high ? _mm512_srli_epi32(bytes, 4) : bytes, table);
}
