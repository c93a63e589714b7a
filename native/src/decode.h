// Attention of one token over a cache whose kv heads have lengths of their own. The keys of each head are cut into
// parts of a fixed size, which threads take in turn, and each query head's parts are put together at the end: so the
// sums do not depend on the number of threads.
#pragma once
#include "ops.h"
#include "rotate.h"
#include "softcap.h"
#include "weights.h"
#include <math.h>

#define PART 64
#define ABSENT (-1e4f) // score of keys beyond the last

// Per part and query head: weighted values, maximum, sum of weights.
static size_t partial_floats(int64_t dim) { return PKV_ALIGN((dim + 2) * 4) / 4; }
static size_t part_floats(int64_t dim, int group) { return PKV_ALIGN((PART * dim + group * (dim + PART)) * 4) / 4; }

static size_t decode_workspace(int64_t dim, int64_t longest, int n_head, int n_head_kv, int nth) {
  const int64_t parts = (longest + PART) / PART;
  return (parts * n_head * partial_floats(dim) + nth * part_floats(dim, n_head / n_head_kv)) * 4;
}

// Rows of a quantized cache as floats.
#define DEFINE_READ_ROWS(type)                                                                                         \
  static void read_rows_##type(float *out, const uint8_t *rows, size_t row, int n, int64_t dim) {                      \
    for (int j = 0; j < n; j++, rows += row, out += dim)                                                               \
      for (int b = 0; b < dim / BLOCK; b++) {                                                                          \
        vf f[BLOCK_VECS];                                                                                              \
        read_##type(rows, b, f);                                                                                       \
        UNROLL                                                                                                         \
        for (int i = 0; i < BLOCK_VECS; i++) v_store(out + b * BLOCK + i * LANES, f[i]);                               \
      }                                                                                                                \
  }
DEFINE_READ_ROWS(q8_0)
DEFINE_READ_ROWS(q4_0)

static void read_rows(int type, float *out, const uint8_t *rows, size_t row, int n, int64_t dim) {
  if (type == T_Q8_0) {
    read_rows_q8_0(out, rows, row, n, dim);
    return;
  }
  if (type == T_Q4_0) {
    read_rows_q4_0(out, rows, row, n, dim);
    return;
  }
  for (int j = 0; j < n; j++, rows += row, out += dim)
    for (int64_t d = 0; d < dim; d += LANES) v_store(out + d, v_from_f16((const uint16_t *)rows + d));
}

// score[n] = rows q
INLINE void scores_of(float *score, const float *rows, const float *q, int n, int64_t dim) {
  for (int j = 0; j < n; j++, rows += dim) {
    vf sum[2] = {v_zero(), v_zero()};
    for (int64_t d = 0; d < dim; d += 2 * LANES) {
      sum[0] = v_fma(v_load(rows + d), v_load(q + d), sum[0]);
      if (d + LANES < dim) sum[1] = v_fma(v_load(rows + d + LANES), v_load(q + d + LANES), sum[1]);
    }
    score[j] = v_sum(v_add(sum[0], sum[1]));
  }
}

// out[dim] = weights rows
INLINE void weighted_rows(float *out, const float *rows, const float *weight, int n, int64_t dim) {
  for (int64_t d = 0; d < dim; d += 4 * LANES) {
    const int vecs = (int)pkv_min(4, (dim - d) / LANES);
    vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    if (vecs == 4) {
      for (int j = 0; j < n; j++) UNROLL
      for (int i = 0; i < 4; i++) sum[i] = v_fma(v_set1(weight[j]), v_load(rows + j * dim + d + i * LANES), sum[i]);
    } else {
      for (int i = 0; i < vecs; i++)
        for (int j = 0; j < n; j++) sum[i] = v_fma(v_set1(weight[j]), v_load(rows + j * dim + d + i * LANES), sum[i]);
    }
    for (int i = 0; i < vecs; i++) v_store(out + d + i * LANES, sum[i]);
  }
}

// Scores to weights, with their maximum and sum.
INLINE void softmax_part(float *score, int n, float *most, float *total) {
  float m = score[0];
  for (int j = 1; j < n; j++) m = score[j] > m ? score[j] : m;
  for (int j = n; j < PART; j++) score[j] = m + ABSENT;
  vf sum = v_zero();
  for (int j = 0; j < PART; j += LANES) {
    const vf w = v_exp2(v_sub(v_load(score + j), v_set1(m)));
    v_store(score + j, w);
    sum = v_add(sum, w);
  }
  *most = m;
  *total = v_sum(sum);
}

// Hadamard transforms of `block` values each, over √block: an outlier becomes a little of every value. Their own
// inverse.
static void spread(float *x, int64_t dim, int block) {
  if (block == 0) return;
  const vf scale = v_set1(1 / sqrtf((float)block));
  for (float *own = x; own < x + dim; own += block)
    for (int half = 1; half < block; half *= 2)
      for (int i = 0; i < block; i += 2 * half)
        for (int j = i; j < i + half; j++) {
          const float a = own[j], b = own[j + half];
          own[j] = a + b, own[j + half] = a - b;
        }
  for (int64_t d = 0; d < dim; d += LANES) v_store(x + d, v_mul(v_load(x + d), scale));
}

typedef struct {
  const pkv_decode_args *a;
  const float *qkv, *table;
  pkv_tensor *k, *v;
  int64_t dim;
  int group;
} decode_job;

// One kv head's rows [from, from + n) of those it holds, the token's own among them where `is_last`.
static void decode_part(const decode_job *g, int head, int64_t first_row, int64_t from, int n, int is_last,
                        float *partial, float *scratch) {
  const int64_t dim = g->dim;
  const pkv_rotate_args *shape = &g->a->shape;
  float *rows = scratch, *q = rows + PART * dim, *score = q + g->group * dim;
  uint8_t *k = (uint8_t *)g->k->data + (first_row + from) * g->k->nb[1],
          *v = (uint8_t *)g->v->data + (first_row + from) * g->v->nb[1];
  if (is_last) {
    const float *qkv_k = g->qkv + (shape->n_head + head) * dim, *qkv_v = qkv_k + shape->n_head_kv * dim;
    float *new_k = rows, *new_v = rows + dim; // until the rows are read
    rotate_head(new_k, qkv_k, g->table, dim, shape);
    memcpy(new_v, qkv_v, dim * sizeof *new_v);
    spread(new_k, dim, g->a->spread);
    spread(new_v, dim, g->a->spread);
    uint8_t *to_k = k + (n - 1) * g->k->nb[1], *to_v = v + (n - 1) * g->v->nb[1];
    if (g->a->from_float) {
      g->a->from_float(new_k, to_k, dim);
      g->a->from_float(new_v, to_v, dim);
    } else {
      row_to_f16(to_k, new_k, dim);
      row_to_f16(to_v, new_v, dim);
    }
  }
  read_rows(g->k->type, rows, k, g->k->nb[1], n, dim);
  for (int i = 0; i < g->group; i++) {
    rotate_head(q + i * dim, g->qkv + (head * g->group + i) * dim, g->table, dim, shape);
    spread(q + i * dim, dim, g->a->spread);
    const vf scale = v_set1(score_scale(g->a->scale, g->a->softcap));
    for (int64_t d = 0; d < dim; d += LANES) v_store(q + i * dim + d, v_mul(v_load(q + i * dim + d), scale));
    scores_of(score + i * PART, rows, q + i * dim, n, dim);
    if (g->a->softcap > 0) soft_cap_all(score + i * PART, PART, g->a->softcap);
    float *own = partial + i * partial_floats(dim);
    softmax_part(score + i * PART, n, own + dim, own + dim + 1);
  }
  read_rows(g->v->type, rows, v, g->v->nb[1], n, dim);
  for (int i = 0; i < g->group; i++) weighted_rows(partial + i * partial_floats(dim), rows, score + i * PART, n, dim);
}

// `sink`: a logit in units of log 2 that takes weight and gives nothing; -INFINITY: none.
static void combine_parts(float *out, const float *partial, size_t stride, int64_t parts, int64_t dim, float sink) {
  float most = partial[dim] > sink ? partial[dim] : sink, total = 0;
  for (int64_t p = 1; p < parts; p++) most = partial[p * stride + dim] > most ? partial[p * stride + dim] : most;
  total += exp2f(sink - most);
  for (int64_t d = 0; d < dim; d += LANES) v_store(out + d, v_zero());
  for (int64_t p = 0; p < parts; p++) {
    const float *own = partial + p * stride, factor = exp2f(own[dim] - most);
    total += factor * own[dim + 1];
    for (int64_t d = 0; d < dim; d += LANES) v_store(out + d, v_fma(v_set1(factor), v_load(own + d), v_load(out + d)));
  }
  for (int64_t d = 0; d < dim; d += LANES) v_store(out + d, v_mul(v_set1(1 / total), v_load(out + d)));
}

static void decode(pkv_tensor *dst, int ith, int nth, void *args) {
  pkv_decode_args *a = args;
  const int32_t *extent = dst->src[4]->data; // first row, tokens held
  const float *sinks = a->sinks >= 0 ? dst->src[a->sinks]->data : 0;
  const int heads_kv = a->shape.n_head_kv, group = a->shape.n_head / heads_kv;
  const int64_t dim = dst->src[1]->ne[0];
  const decode_job g = {a, dst->src[0]->data, dst->src[1]->data, dst->src[2], dst->src[3], dim, group};
  const size_t stride = group * partial_floats(dim); // from part to part
  int64_t all = 0;
  for (int h = 0; h < heads_kv; h++) all += extent[2 * h + 1] / PART + 1;
  float *partial = (float *)a->workspace->data, *scratch = partial + all * stride + ith * part_floats(dim, group);

  int64_t unit = pkv_take(&a->sync), first = 0;
  for (int h = 0; h < heads_kv; h++) {
    const int64_t held = extent[2 * h + 1], parts = held / PART + 1;
    for (; unit < first + parts; unit = pkv_take(&a->sync)) {
      const int64_t from = (unit - first) * PART;
      const int n = (int)pkv_min(PART, held + 1 - from);
      decode_part(&g, h, extent[2 * h], from, n, from + n == held + 1, partial + unit * stride, scratch);
    }
    first += parts;
  }
  pkv_barrier(&a->sync, nth);
  first = 0;
  for (int h = 0; h < heads_kv; h++) {
    const int64_t parts = extent[2 * h + 1] / PART + 1;
    for (int i = 0; i < group; i++) {
      const int head = h * group + i;
      if (head % nth != ith) continue;
      float *out = (float *)dst->data + head * dim;
      const float sink = sinks ? sinks[head] * LOG2E : -INFINITY;
      combine_parts(out, partial + first * stride + i * partial_floats(dim), stride, parts, dim, sink);
      spread(out, dim, a->spread);
    }
    first += parts;
  }
  pkv_leave(&a->sync, nth);
}
