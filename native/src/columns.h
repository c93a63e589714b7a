// Columns of a matmul's input, RMS-normed where a weight is given: as floats, or as the units that tiles multiply.
#pragma once
#include "tile.h"
#include <math.h>

INLINE float norm_scale(const float *x, int64_t k, float epsilon) {
  vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
  int64_t i = 0;
  for (; i + 4 * LANES <= k; i += 4 * LANES) UNROLL
  for (int u = 0; u < 4; u++) {
    const vf a = v_load(x + i + u * LANES);
    sum[u] = v_fma(a, a, sum[u]);
  }
  for (; i < k; i += LANES) {
    const vf a = v_load(x + i);
    sum[0] = v_fma(a, a, sum[0]);
  }
  const float squares = v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3])));
  return 1.f / sqrtf(squares / (float)k + epsilon);
}

// One column as floats, normed where `weight` is given.
static void copy_column(float *out, const float *x, const float *weight, float epsilon, int64_t k) {
  const vf scale = v_set1(weight ? norm_scale(x, k, epsilon) : 1);
  for (int64_t i = 0; i < k; i += LANES) {
    const vf a = v_load(x + i);
    v_store(out + i, weight ? v_mul(v_mul(a, scale), v_load(weight + i)) : a);
  }
}

// One column as units.
static void pack_column(uint32_t *out, const float *x, const float *weight, float epsilon, int64_t k) {
  const vf scale = v_set1(weight ? norm_scale(x, k, epsilon) : 1);
  for (int64_t i = 0; i < k; i += LANES * UNIT_K) {
    vf a[UNIT_K];
    UNROLL
    for (int u = 0; u < UNIT_K; u++) {
      a[u] = v_load(x + i + u * LANES);
      if (weight) a[u] = v_mul(v_mul(a[u], scale), v_load(weight + i + u * LANES));
    }
    u_store(out + i / UNIT_K, u_pack(a));
  }
}
