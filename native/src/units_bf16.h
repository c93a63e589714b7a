// Units of two bf16: a multiply-add takes two products, summed in f32.
#pragma once
#define UNIT_K 2
INLINE vf u_dot(vf sum, vu a, vu b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
INLINE vu u_pack(const vf *w) { return (vu)_mm512_cvtne2ps_pbh(w[1], w[0]); }
// Rounded half up, which for what is packed here differs from half to even on exact ties alone.
INLINE vu u_pair(const vf *w) {
  const vu half = _mm512_set1_epi32(0x8000);
  const vu low = _mm512_srli_epi32(_mm512_add_epi32(u_from_vf(w[0]), half), 16);
  return _mm512_mask_blend_epi16(0xAAAAAAAA, low, _mm512_add_epi32(u_from_vf(w[1]), half));
}
INLINE void u_unpair(vu a, vf *w) {
  w[0] = vf_from_u(_mm512_slli_epi32(a, 16));
  w[1] = vf_from_u(_mm512_and_si512(a, _mm512_set1_epi32(0xffff0000)));
}
