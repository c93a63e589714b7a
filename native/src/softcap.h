// Scores as the softmax takes them: powers of 2, capped softly where a model does so (Gemma 2, arXiv 2408.00118).
#pragma once
#include "ops.h"

#define LOG2E 1.44269504088896341f
#define FLAT 10.f // beyond it tanh is 1 to the last bit

// What a query is multiplied with, so that its products with keys are what soft_cap, or else the softmax, takes.
static inline float score_scale(float scale, float softcap) { return softcap > 0 ? scale / softcap : scale * LOG2E; }

// log2(e) * softcap * tanh(x), with cap = log2(e) * softcap.
INLINE vf soft_cap(vf x, vf cap) {
  const vf within = v_max(v_min(x, v_set1(FLAT)), v_set1(-FLAT));
  const vf e = v_exp2(v_mul(within, v_set1(2 * LOG2E)));
  return v_mul(cap, v_sub(v_set1(1), v_div(v_set1(2), v_add(e, v_set1(1)))));
}

// The same for `n` values, a multiple of LANES.
INLINE void soft_cap_all(float *x, int64_t n, float softcap) {
  const vf cap = v_set1(softcap * LOG2E);
  for (int64_t i = 0; i < n; i += LANES) v_store(x + i, soft_cap(v_load(x + i), cap));
}
