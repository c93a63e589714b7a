// What is done with a matmul's sums: biases, the gate, the residual.
#pragma once
#include "ops.h"
#include <math.h>

INLINE float silu(float x) { return x / (1.f + expf(-x)); }

INLINE vf v_silu(vf x) { // x / (1 + 2^(-x log2 e)), the exponent held where the polynomial is good
  const vf e = v_exp2(v_max(v_min(v_mul(x, v_set1(-1.44269504f)), v_set1(126.f)), v_set1(-126.f)));
  return v_div(x, v_add(v_set1(1.f), e));
}

static const float *vector_of(const pkv_tensor *dst, int source) {
  return source < 0 ? 0 : (const float *)dst->src[source]->data;
}

typedef struct {
  const float *bias, *gate_bias;
  const float *residual; // of this column, from the first row of dst on
} finish_args;

// One result of `n` rows from `row` of its weight, `at` of dst: value (and its gate) to dst.
INLINE void finish(float *dst, const float *value, const float *gate, int n, int64_t row, const finish_args *f) {
  int i = 0;
  for (; i + LANES <= n; i += LANES) {
    vf y = v_load(value + i);
    if (f->bias) y = v_add(y, v_load(f->bias + row + i));
    if (gate) {
      vf g = v_load(gate + i);
      if (f->gate_bias) g = v_add(g, v_load(f->gate_bias + row + i));
      y = v_mul(v_silu(g), y);
    }
    if (f->residual) y = v_add(y, v_load(f->residual + i));
    v_store(dst + i, y);
  }
  for (; i < n; i++) {
    float y = value[i] + (f->bias ? f->bias[row + i] : 0);
    if (gate) y *= silu(gate[i] + (f->gate_bias ? f->gate_bias[row + i] : 0));
    dst[i] = y + (f->residual ? f->residual[i] : 0);
  }
}

static finish_args finish_of(const pkv_tensor *dst, const pkv_linear_args *a, int weight) {
  finish_args f = {vector_of(dst, a->bias[weight]), 0, 0};
  if (a->gated) f = (finish_args){vector_of(dst, a->bias[1]), vector_of(dst, a->bias[0]), 0};
  return f;
}

static const float *residual_at(const pkv_tensor *dst, const pkv_linear_args *a, int64_t column, int64_t row) {
  if (a->residual < 0) return 0;
  const pkv_tensor *r = dst->src[a->residual];
  return (const float *)((const char *)r->data + column * r->nb[1]) + row;
}
