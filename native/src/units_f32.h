// Units of one f32: a multiply-add takes one product.
#pragma once
#define UNIT_K 1
INLINE vf u_dot(vf sum, vu a, vu b) { return v_fma(vf_from_u(a), vf_from_u(b), sum); }
// LANES * UNIT_K values to LANES units.
INLINE vu u_pack(const vf *w) { return u_from_vf(w[0]); }
// Lane by lane the unit of values that follow each other along k.
INLINE vu u_pair(const vf *w) { return u_from_vf(w[0]); }
INLINE void u_unpair(vu a, vf *w) { w[0] = vf_from_u(a); }
