// Rotary position embedding by a table, and the new keys and values to where they are kept.
#pragma once
#include "ops.h"

// x rotated by (cos, sin) pairs, to out. The table lies as ggml rotates (1, 0): side by side, or half of the rotated
// dimensions apart (neox). What lies behind the rotated dimensions is copied.
static void rotate_head(float *restrict out, const float *restrict x, const float *restrict table, int64_t dim,
                        const pkv_rotate_args *a) {
  const int64_t half = a->rope_dims / 2;
  if (a->neox) {
    for (int64_t d = 0; d < half; d++) {
      const float c = table[d], s = table[d + half], x0 = x[d], x1 = x[d + half];
      out[d] = x0 * c - x1 * s;
      out[d + half] = x0 * s + x1 * c;
    }
  } else {
    for (int64_t d = 0; d < 2 * half; d += 2) {
      const float c = table[d], s = table[d + 1], x0 = x[d], x1 = x[d + 1];
      out[d] = x0 * c - x1 * s;
      out[d + 1] = x0 * s + x1 * c;
    }
  }
  for (int64_t d = 2 * half; d < dim; d++) out[d] = x[d];
}

static void row_to_f16(void *out, const float *x, int64_t dim) {
  for (int64_t d = 0; d < dim; d += LANES) v_to_f16((uint16_t *)out + d, v_load(x + d));
}

static void rotate(pkv_tensor *dst, int ith, int nth, void *args) {
  const pkv_rotate_args *a = args;
  const pkv_tensor *x = dst->src[0], *table = dst->src[1], *k = dst->src[2], *v = dst->src[3];
  const int64_t dim = dst->ne[0], n = x->ne[1];
  for (int64_t i = n * ith / nth; i < n * (ith + 1) / nth; i++) {
    const float *in = (const float *)((const char *)x->data + i * x->nb[1]);
    const float *turn = (const float *)((const char *)table->data + i * table->nb[1]);
    for (int64_t h = 0; h < a->n_head; h++, in += dim)
      rotate_head((float *)((char *)dst->data + h * dst->nb[1] + i * dst->nb[2]), in, turn, dim, a);
    for (int64_t h = 0; h < a->n_head_kv; h++, in += dim) {
      float turned[LARGEST_HEAD];
      rotate_head(turned, in, turn, dim, a);
      row_to_f16((char *)k->data + i * k->nb[1] + h * k->nb[2], turned, dim);
    }
    for (int64_t h = 0; h < a->n_head_kv; h++, in += dim)
      row_to_f16((char *)v->data + i * v->nb[1] + h * v->nb[2], in, dim);
  }
}
