// Attention of one token of each of some sequences, over caches whose kv heads have lengths of their own. The rows of a
// head lie in segments, which are cut into parts of a fixed size; threads take parts in turn, whosesoever they are, and
// each query head's parts are put together at the end: so the sums depend neither on the number of threads nor on the
// other sequences.
#pragma once
#include "ops.h"
#include "rotate.h"
#include "softcap.h"
#include "weights.h"
#include <math.h>

#define PART DECODE_PART
#define ABSENT (-1e4f) // score of keys beyond the last

// Per part and query head: weighted values, maximum, sum of weights.
static size_t partial_floats(int64_t dim) { return PKV_ALIGN((dim + 2) * 4) / 4; }
static size_t part_floats(int64_t dim, int group) { return PKV_ALIGN((PART * dim + group * (dim + PART)) * 4) / 4; }

static size_t decode_workspace(int64_t dim, int64_t parts, int group, int nth) {
  return (parts * group * partial_floats(dim) + nth * part_floats(dim, group)) * 4;
}

static size_t cached_row_bytes(int64_t type, int64_t dim) {
  return type == T_Q8_0 ? dim / BLOCK * 34 : type == T_Q4_0 ? dim / BLOCK * 18 : dim * 2;
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
static void hadamard(float *x, int64_t dim, int block) {
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
  int64_t dim;
  int group;
} decode_job;

// A part of a kv head's rows: `n` of a segment from `from` on, the token's own last among them where `appends`.
typedef struct {
  const pkv_column *column;
  const pkv_segment *segment;
  const float *qkv, *table; // of the column
  int head, n, appends;
  int64_t from;
} decode_part;

// Rotates the token's key, and writes it and the value behind the segment's tokens.
static void append_token(const decode_job *g, const decode_part *p, float *scratch, size_t row) {
  const int64_t dim = g->dim;
  const pkv_rotate_args *shape = &g->a->shape;
  const float *k = p->qkv + (shape->n_head + p->head) * dim, *v = k + shape->n_head_kv * dim;
  float *new_k = scratch, *new_v = scratch + dim;
  rotate_head(new_k, k, p->table, dim, shape);
  memcpy(new_v, v, dim * sizeof *new_v);
  hadamard(new_k, dim, (int)p->column->hadamard);
  hadamard(new_v, dim, (int)p->column->hadamard);
  char *to_k = p->segment->k + p->segment->length * row, *to_v = p->segment->v + p->segment->length * row;
  if (p->column->from_float) {
    p->column->from_float(new_k, to_k, dim);
    p->column->from_float(new_v, to_v, dim);
  } else {
    row_to_f16(to_k, new_k, dim);
    row_to_f16(to_v, new_v, dim);
  }
}

static void attend_part(const decode_job *g, const decode_part *p, float *partial, float *scratch) {
  const int64_t dim = g->dim;
  const int type = (int)p->column->type;
  const size_t row = cached_row_bytes(type, dim);
  float *rows = scratch, *q = rows + PART * dim, *score = q + g->group * dim;
  if (p->appends) append_token(g, p, rows, row); // until the rows are read
  read_rows(type, rows, (const uint8_t *)p->segment->k + p->from * row, row, p->n, dim);
  for (int i = 0; i < g->group; i++) {
    rotate_head(q + i * dim, p->qkv + (p->head * g->group + i) * dim, p->table, dim, &g->a->shape);
    hadamard(q + i * dim, dim, (int)p->column->hadamard);
    const vf scale = v_set1(score_scale(g->a->scale, g->a->softcap));
    for (int64_t d = 0; d < dim; d += LANES) v_store(q + i * dim + d, v_mul(v_load(q + i * dim + d), scale));
    scores_of(score + i * PART, rows, q + i * dim, p->n, dim);
    if (g->a->softcap > 0) soft_cap_all(score + i * PART, PART, g->a->softcap);
    float *own = partial + i * partial_floats(dim);
    softmax_part(score + i * PART, p->n, own + dim, own + dim + 1);
  }
  read_rows(type, rows, (const uint8_t *)p->segment->v + p->from * row, row, p->n, dim);
  for (int i = 0; i < g->group; i++)
    weighted_rows(partial + i * partial_floats(dim), rows, score + i * PART, p->n, dim);
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

// The segments of a kv head of a column, and its parts.
typedef struct {
  const pkv_segment *first;
  int segments;
  int64_t parts;
} head_extent;

static int64_t parts_of(const pkv_segment *s, int is_last) { return (s->length + (is_last ? PART : PART - 1)) / PART; }

static head_extent extent_of(const pkv_tensor *segments, int64_t head) {
  head_extent e = {(const pkv_segment *)segments->data + head * segments->ne[1], 0, 0};
  while (e.segments < segments->ne[1] && e.first[e.segments].k) e.segments++;
  for (int i = 0; i < e.segments; i++) e.parts += parts_of(e.first + i, i == e.segments - 1);
  return e;
}

// Part `at` of a head.
static decode_part part_at(const head_extent *e, int64_t at) {
  int i = 0;
  for (int64_t n; at >= (n = parts_of(e->first + i, i == e->segments - 1)); i++) at -= n;
  const int is_last = i == e->segments - 1;
  decode_part p = {.segment = e->first + i, .from = at * PART};
  const int64_t end = p.segment->length + is_last;
  p.n = (int)pkv_min(PART, end - p.from);
  p.appends = is_last && p.from + p.n == end;
  return p;
}

static void decode(pkv_tensor *dst, int ith, int nth, void *args) {
  pkv_decode_args *a = args;
  const pkv_tensor *qkv = dst->src[0], *table = dst->src[1], *segments = dst->src[2];
  const pkv_column *columns = dst->src[3]->data;
  const float *sinks = a->sinks >= 0 ? dst->src[a->sinks]->data : 0;
  const int heads_kv = a->shape.n_head_kv, group = a->shape.n_head / heads_kv, heads = *a->columns * heads_kv;
  const int64_t dim = table->ne[0];
  const decode_job g = {a, dim, group};
  const size_t stride = group * partial_floats(dim); // from part to part
  int64_t all = 0;
  for (int h = 0; h < heads; h++) all += extent_of(segments, h).parts;
  float *partial = (float *)a->workspace->data, *scratch = partial + all * stride + ith * part_floats(dim, group);

  int64_t unit = pkv_take(&a->sync), first = 0;
  for (int h = 0; h < heads; h++) {
    const head_extent e = extent_of(segments, h);
    for (; unit < first + e.parts; unit = pkv_take(&a->sync)) {
      decode_part p = part_at(&e, unit - first);
      p.column = columns + h / heads_kv, p.head = h % heads_kv;
      p.qkv = (const float *)((const char *)qkv->data + h / heads_kv * qkv->nb[1]);
      p.table = (const float *)((const char *)table->data + h / heads_kv * table->nb[1]);
      attend_part(&g, &p, partial + unit * stride, scratch);
    }
    first += e.parts;
  }
  pkv_barrier(&a->sync, nth);
  first = 0;
  for (int h = 0; h < heads; h++) {
    const int64_t parts = extent_of(segments, h).parts;
    const pkv_column *column = columns + h / heads_kv;
    for (int i = 0; i < group; i++) {
      const int head = h % heads_kv * group + i;
      if ((h * group + i) % nth != ith) continue;
      float *out = (float *)((char *)dst->data + h / heads_kv * dst->nb[1]) + head * dim;
      const float sink = sinks ? sinks[head] * LOG2E : -INFINITY;
      combine_parts(out, partial + first * stride + i * partial_floats(dim), stride, parts, dim, sink);
      hadamard(out, dim, (int)column->hadamard);
      const float *query = (const float *)((const char *)qkv->data + h / heads_kv * qkv->nb[1]) + head * dim;
      if (column->query) memcpy(column->query + head * dim, query, dim * sizeof *query);
    }
    first += parts;
  }
  pkv_leave(&a->sync, nth);
}
