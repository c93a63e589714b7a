// ARM NEON (every arm64 has it): 4 lanes, 8 x 3 registers of sums.
#pragma once
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define LANES 4
#define TILE_ROWS 8
#define TILE_VECS 3
typedef float32x4_t vf;
typedef uint32x4_t vu; // units: what one multiply-add takes of one operand, 32 bits

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")

INLINE vf v_zero(void) { return vdupq_n_f32(0); }
INLINE vf v_set1(float x) { return vdupq_n_f32(x); }
INLINE vf v_load(const float *p) { return vld1q_f32(p); }
INLINE void v_store(float *p, vf a) { vst1q_f32(p, a); }
INLINE vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
INLINE vf v_sub(vf a, vf b) { return vsubq_f32(a, b); }
INLINE vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
INLINE vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
INLINE vf v_min(vf a, vf b) { return vminq_f32(a, b); }
INLINE vf v_max(vf a, vf b) { return vmaxq_f32(a, b); }
INLINE vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
INLINE float v_sum(vf a) { return vaddvq_f32(a); }
INLINE int v_any_greater(vf a, vf b) { return vmaxvq_u32(vcgtq_f32(a, b)) != 0; }

INLINE vf v_from_f16(const void *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)p))); }
INLINE void v_to_f16(void *p, vf a) { vst1_u16((uint16_t *)p, vreinterpret_u16_f16(vcvt_f16_f32(a))); }
INLINE vf v_from_bf16(const void *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16((const uint16_t *)p), 16)); }
INLINE uint8x8_t four_bytes(const void *p) {
  uint32_t x;
  memcpy(&x, p, 4);
  return vcreate_u8(x);
}
INLINE vf v_from_s8(const void *p) {
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(four_bytes(p))))));
}
INLINE float f16_to_float(uint16_t h) {
  __fp16 f;
  memcpy(&f, &h, 2);
  return (float)f;
}

INLINE vu u_set1(uint32_t x) { return vdupq_n_u32(x); }
INLINE vu u_load(const void *p) { return vreinterpretq_u32_u8(vld1q_u8((const uint8_t *)p)); }
INLINE void u_store(void *p, vu a) { vst1q_u8((uint8_t *)p, vreinterpretq_u8_u32(a)); }
INLINE vu u_from_vf(vf a) { return vreinterpretq_u32_f32(a); }
INLINE vf vf_from_u(vu a) { return vreinterpretq_f32_u32(a); }

// Lane by lane: value where first <= x <= last, else other.
INLINE vf v_within(vf value, int x, vu first, vu last, float other) {
  const int32x4_t at = vdupq_n_s32(x);
  const vu in = vandq_u32(vcleq_s32(vreinterpretq_s32_u32(first), at), vcleq_s32(at, vreinterpretq_s32_u32(last)));
  return vbslq_f32(in, value, vdupq_n_f32(other));
}

// 2^x by a polynomial of degree 5 (relative error 8e-8); 2^-126 for all that is less.
INLINE vf v_exp2(vf x) {
  x = vmaxq_f32(x, v_set1(-126.f));
  const vf n = vrndnq_f32(x), f = vsubq_f32(x, n);
  vf p = v_set1(1.327647129073739e-3f);
  p = v_fma(p, f, v_set1(9.675540961325169e-3f));
  p = v_fma(p, f, v_set1(5.550713092088699e-2f));
  p = v_fma(p, f, v_set1(2.4022120237350464e-1f));
  p = v_fma(p, f, v_set1(6.931469440460205e-1f));
  p = v_fma(p, f, v_set1(1.f));
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vcvtnq_s32_f32(n), 23)));
}

// 4 x 4 transpose of 32-bit elements.
INLINE void u_transpose(vu *r) {
  const uint32x4x2_t a = vtrnq_u32(r[0], r[1]), b = vtrnq_u32(r[2], r[3]);
  r[0] = vcombine_u32(vget_low_u32(a.val[0]), vget_low_u32(b.val[0]));
  r[1] = vcombine_u32(vget_low_u32(a.val[1]), vget_low_u32(b.val[1]));
  r[2] = vcombine_u32(vget_high_u32(a.val[0]), vget_high_u32(b.val[0]));
  r[3] = vcombine_u32(vget_high_u32(a.val[1]), vget_high_u32(b.val[1]));
}

// LANES bytes, shifted right and masked, as floats.
INLINE vf v_bits(const uint8_t *p, int shift, int mask) {
  const vu bytes = vmovl_u16(vget_low_u16(vmovl_u8(four_bytes(p))));
  return vcvtq_f32_u32(vandq_u32(vshlq_u32(bytes, vdupq_n_s32(-shift)), vdupq_n_u32((uint32_t)mask)));
}

// 16 weights of 4 bits, q * d + m.
INLINE void v_nibbles(const uint8_t *q, int high, float d, float m, vf *w) {
  UNROLL
  for (int i = 0; i < 4; i++) w[i] = v_fma(v_bits(q + 4 * i, high ? 4 : 0, 15), v_set1(d), v_set1(m));
}
