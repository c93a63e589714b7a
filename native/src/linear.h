// dst = W x. Many columns: x and a panel of weights are packed into units and multiplied by tiles. Few columns
// (decode): rows of weights are unpacked in registers and multiplied with x as they come from memory.
#pragma once
#include "ops.h"
#include "tile.h"
#include "weights.h"
#include <math.h>

#define FEW_COLUMNS 7 // beyond this, packing a panel costs less than unpacking the weights for each column
#define COLUMNS_AT_ONCE 4
#define ROWS_AT_ONCE 4
#define ROWS_FINISHED 64 // rows whose sums are collected before they are finished
#define BYTES_AHEAD                                                                                                    \
  12288 // prefetched: the CPU's own prefetchers do not follow several short rows (8 against 34 GB/s, Zen 5)
#include "bytes.h"
#define BLOCK_UNITS (BLOCK / UNIT_K)
#define BLOCK_UNIT_VECS (BLOCK_UNITS / LANES)

// ---- columns

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

// ---- weights

// A panel: TILE_COLS rows of weights, from `row` on, as units [K / UNIT_K][TILE_COLS]; rows beyond `rows` are 0.
#define DEFINE_PANEL(type, read)                                                                                       \
  static void panel_##read(uint32_t *out, const uint8_t *w, size_t row_bytes, int rows, int64_t k) {                   \
    for (int v = 0; v < TILE_VECS; v++) {                                                                              \
      const int n = (int)pkv_min(rows - v * LANES, LANES);                                                             \
      for (int b = 0; b < k / BLOCK; b++) {                                                                            \
        vu units[BLOCK_UNIT_VECS][LANES];                                                                              \
        for (int r = 0; r < LANES; r++) {                                                                              \
          vf f[BLOCK_VECS];                                                                                            \
          if (r < n)                                                                                                   \
            read(w + (size_t)(v * LANES + r) * row_bytes, b, f);                                                       \
          else                                                                                                         \
            UNROLL                                                                                                     \
          for (int i = 0; i < BLOCK_VECS; i++) f[i] = v_zero();                                                        \
          UNROLL                                                                                                       \
          for (int i = 0; i < BLOCK_UNIT_VECS; i++) units[i][r] = u_pack(f + i * UNIT_K);                              \
        }                                                                                                              \
        UNROLL                                                                                                         \
        for (int i = 0; i < BLOCK_UNIT_VECS; i++) {                                                                    \
          u_transpose(units[i]);                                                                                       \
          uint32_t *o = out + ((size_t)b * BLOCK_UNITS + i * LANES) * TILE_COLS + v * LANES;                           \
          UNROLL                                                                                                       \
          for (int r = 0; r < LANES; r++) u_store(o + (size_t)r * TILE_COLS, units[i][r]);                             \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }
WEIGHT_TYPES(DEFINE_PANEL)

// sums[c][ROWS_FINISHED] of `nr` rows and `nc` columns, both constants where this is inlined.
#define DEFINE_DOTS(type, read)                                                                                        \
  INLINE void dots_##read(float *sums, const uint8_t *w, size_t row_bytes, int nr, const float *x, int64_t k,          \
                          int nc) {                                                                                    \
    vf acc[ROWS_AT_ONCE][COLUMNS_AT_ONCE][BLOCK_VECS > 1 ? 2 : 1];                                                     \
    UNROLL                                                                                                             \
    for (int r = 0; r < nr; r++) UNROLL                                                                                \
    for (int c = 0; c < nc; c++) acc[r][c][0] = acc[r][c][1] = v_zero();                                               \
    for (int b = 0; b < k / BLOCK; b++) {                                                                              \
      UNROLL                                                                                                           \
      for (int r = 0; r < nr; r++) {                                                                                   \
        vf f[BLOCK_VECS];                                                                                              \
        read(w + (size_t)r * row_bytes, b, f);                                                                         \
        __builtin_prefetch(w + (size_t)r * row_bytes + b * row_bytes * BLOCK / k + BYTES_AHEAD);                       \
        UNROLL                                                                                                         \
        for (int c = 0; c < nc; c++) UNROLL                                                                            \
        for (int i = 0; i < BLOCK_VECS; i++)                                                                           \
          acc[r][c][i % 2] = v_fma(f[i], v_load(x + (size_t)c * k + b * BLOCK + i * LANES), acc[r][c][i % 2]);         \
      }                                                                                                                \
    }                                                                                                                  \
    UNROLL                                                                                                             \
    for (int r = 0; r < nr; r++) UNROLL                                                                                \
    for (int c = 0; c < nc; c++) sums[c * ROWS_FINISHED + r] = v_sum(v_add(acc[r][c][0], acc[r][c][1]));               \
  }
WEIGHT_TYPES(DEFINE_DOTS)

// The same for any number of rows and columns. `columns` are floats, or blocks of bytes, `per` values each.
#define DEFINE_ROWS(name, dots, column, per)                                                                           \
  static void name(float *sums, const uint8_t *w, size_t row_bytes, int nr, const void *columns, int64_t k, int nc) {  \
    const column *x = columns;                                                                                         \
    if (nr == ROWS_AT_ONCE && nc == 1) {                                                                               \
      dots(sums, w, row_bytes, ROWS_AT_ONCE, x, k, 1);                                                                 \
      return;                                                                                                          \
    }                                                                                                                  \
    for (int r = 0; r < nr; r++, sums++, w += row_bytes) {                                                             \
      if (nc == COLUMNS_AT_ONCE)                                                                                       \
        dots(sums, w, row_bytes, 1, x, k, COLUMNS_AT_ONCE);                                                            \
      else                                                                                                             \
        for (int c = 0; c < nc; c++) dots(sums + c * ROWS_FINISHED, w, row_bytes, 1, x + c * (k / per), k, 1);         \
    }                                                                                                                  \
  }
#define DEFINE_FLOAT_ROWS(type, read) DEFINE_ROWS(rows_##read, dots_##read, float, 1)
WEIGHT_TYPES(DEFINE_FLOAT_ROWS)
#ifdef CODED_TYPES
#define DEFINE_BYTE_ROWS(type, name, halves) DEFINE_ROWS(byte_rows_##name, byte_dots_##name, byte_block, BLOCK)
CODED_TYPES(DEFINE_BYTE_ROWS)
#endif

// The loops over one type of weights.
typedef struct {
  void (*panel)(uint32_t *, const uint8_t *, size_t, int, int64_t);
  void (*rows)(float *, const uint8_t *, size_t, int, const void *, int64_t, int);
  int bytes; // whether `rows` takes columns of bytes
} weight_loops;

static weight_loops loops_of(int type) {
  weight_loops loops = {0, 0, 0};
#define CASE(t, read)                                                                                                  \
  if (type == t) loops = (weight_loops){panel_##read, rows_##read, 0};
  WEIGHT_TYPES(CASE)
#undef CASE
#ifdef CODED_TYPES
#define CASE(t, name, halves)                                                                                          \
  if (type == t) loops.rows = byte_rows_##name, loops.bytes = 1;
  CODED_TYPES(CASE)
#undef CASE
#endif
  return loops;
}

// ---- results

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

// ---- few columns

// A thread's own copy of the columns, as floats and, where they are read so, as bytes.
typedef struct {
  float *floats;
  char *bytes;
  int64_t k;
} few_columns;

INLINE size_t bytes_of_columns(int64_t k, int64_t n) {
#ifdef CODED_TYPES
  return PKV_ALIGN(k / BLOCK * n * sizeof(byte_block));
#else
  return 0;
#endif
}

static size_t few_workspace(int64_t k, int64_t n) { return PKV_ALIGN(k * n * 4) + bytes_of_columns(k, n); }

static few_columns prepare_columns(const pkv_tensor *dst, const pkv_linear_args *a, int ith) {
  const pkv_tensor *x = dst->src[0];
  const int64_t k = x->ne[0], n = x->ne[1];
  char *at = a->workspace->data + ith * few_workspace(k, n);
  const few_columns c = {(float *)at, at + PKV_ALIGN(k * n * 4), k};
  const float *norm = vector_of(dst, a->norm);
  for (int64_t j = 0; j < n; j++)
    copy_column(c.floats + j * k, (const float *)((const char *)x->data + j * x->nb[1]), norm, a->epsilon, k);
#ifdef CODED_TYPES
  int bytes = 0;
  for (int i = 0; i < a->n_weights; i++) bytes |= loops_of(dst->src[1 + i]->type).bytes;
  for (int64_t j = 0; bytes && j < n; j++)
    bytes_of_column((byte_block *)c.bytes + j * (k / BLOCK), c.floats + j * k, k);
#endif
  return c;
}

// Rows of a weight times columns `from .. from + nc`.
INLINE void few_rows(float *sums, const pkv_tensor *w, int64_t row, int nr, const few_columns *x, int64_t from,
                     int nc) {
  const weight_loops loops = loops_of(w->type);
  const void *columns = loops.bytes ? (const void *)(x->bytes + bytes_of_columns(x->k, from)) : x->floats + from * x->k;
  loops.rows(sums, (const uint8_t *)w->data + row * w->nb[1], w->nb[1], nr, columns, x->k, nc);
}

// Each thread has one stretch of rows: what is fetched ahead is then its own.
static void linear_few(pkv_tensor *dst, int ith, int nth, pkv_linear_args *a) {
  const int64_t n = dst->src[0]->ne[1];
  const pkv_tensor *w0 = dst->src[1]; // its first rows are on their way while x is normed
  for (size_t at = 0; at < BYTES_AHEAD; at += 64)
    __builtin_prefetch((const char *)w0->data + w0->ne[1] / ROWS_AT_ONCE * ith / nth * ROWS_AT_ONCE * w0->nb[1] + at);
  const few_columns columns = prepare_columns(dst, a, ith);
  int64_t offset = 0;
  for (int i = 0; i < (a->gated ? 1 : a->n_weights); i++) {
    const pkv_tensor *w = dst->src[1 + i], *up = a->gated ? dst->src[2] : 0;
    const int64_t groups = (w->ne[1] + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
    const int64_t end = pkv_min(groups * (ith + 1) / nth * ROWS_AT_ONCE, w->ne[1]);
    finish_args f = finish_of(dst, a, i);
    for (int64_t from = groups * ith / nth * ROWS_AT_ONCE; from < end; from += ROWS_FINISHED) {
      const int64_t to = pkv_min(from + ROWS_FINISHED, end);
      for (int64_t c = 0; c < n; c += COLUMNS_AT_ONCE) {
        const int nc = (int)pkv_min(n - c, COLUMNS_AT_ONCE);
        float value[COLUMNS_AT_ONCE][ROWS_FINISHED], gate[COLUMNS_AT_ONCE][ROWS_FINISHED];
        for (int64_t r = from; r < to; r += ROWS_AT_ONCE) {
          const int nr = (int)pkv_min(to - r, ROWS_AT_ONCE);
          few_rows((up ? gate[0] : value[0]) + (r - from), w, r, nr, &columns, c, nc);
          if (up) few_rows(value[0] + (r - from), up, r, nr, &columns, c, nc);
        }
        for (int j = 0; j < nc; j++) {
          f.residual = residual_at(dst, a, c + j, offset + from);
          float *out = (float *)((char *)dst->data + (c + j) * dst->nb[1]) + offset + from;
          finish(out, value[j], up ? gate[j] : 0, (int)(to - from), from, &f);
        }
      }
    }
    offset += w->ne[1];
  }
}

// ---- many columns

static void linear_many(pkv_tensor *dst, int ith, int nth, pkv_linear_args *a) {
  const pkv_tensor *x = dst->src[0];
  const int64_t k = x->ne[0], n = x->ne[1], padded = pkv_round_up(n, TILE_ROWS), ku = k / UNIT_K;
  uint32_t *columns = (uint32_t *)a->workspace->data;
  const size_t panel_bytes = PKV_ALIGN((size_t)ku * TILE_COLS * 4) * (a->gated ? 2 : 1);
  uint32_t *panel = (uint32_t *)(a->workspace->data + PKV_ALIGN(padded * ku * 4) + ith * panel_bytes);
  uint32_t *gate_panel = panel + PKV_ALIGN((size_t)ku * TILE_COLS * 4) / 4;
  const float *norm = vector_of(dst, a->norm);
  for (int64_t j = padded * ith / nth; j < padded * (ith + 1) / nth; j++) {
    if (j < n)
      pack_column(columns + j * ku, (const float *)((const char *)x->data + j * x->nb[1]), norm, a->epsilon, k);
    else
      memset(columns + j * ku, 0, ku * 4);
  }
  int unit = pkv_take(&a->sync), first = 0;
  int64_t offset = 0;
  pkv_barrier(&a->sync, nth);
  tile_begin();
  for (int i = 0; i < (a->gated ? 1 : a->n_weights); i++) {
    const pkv_tensor *w = dst->src[a->gated ? 2 : 1 + i], *g = a->gated ? dst->src[1] : 0;
    finish_args f = finish_of(dst, a, i);
    const weight_loops loops = loops_of(w->type), gate_loops = loops_of(g ? g->type : w->type);
    const int units = (int)((w->ne[1] + TILE_COLS - 1) / TILE_COLS);
    for (; unit < first + units; unit = pkv_take(&a->sync)) {
      const int64_t row = (int64_t)(unit - first) * TILE_COLS;
      const int rows = (int)pkv_min(w->ne[1] - row, TILE_COLS);
      loops.panel(panel, (const uint8_t *)w->data + row * w->nb[1], w->nb[1], rows, k);
      if (g) gate_loops.panel(gate_panel, (const uint8_t *)g->data + row * g->nb[1], g->nb[1], rows, k);
      for (int64_t j = 0; j < padded; j += TILE_ROWS) {
        float value[TILE_ROWS * TILE_COLS] __attribute__((aligned(64))),
            gate[TILE_ROWS * TILE_COLS] __attribute__((aligned(64)));
        tile_product(value, columns + j * ku, ku, panel, (int)ku, 0);
        if (g) tile_product(gate, columns + j * ku, ku, gate_panel, (int)ku, 0);
        for (int c = 0; c < pkv_min(TILE_ROWS, n - j); c++) {
          f.residual = residual_at(dst, a, j + c, offset + row);
          float *out = (float *)((char *)dst->data + (j + c) * dst->nb[1]) + offset + row;
          finish(out, value + c * TILE_COLS, g ? gate + c * TILE_COLS : 0, rows, row, &f);
        }
      }
    }
    first += units;
    offset += w->ne[1];
  }
  tile_end();
}

static void linear(pkv_tensor *dst, int ith, int nth, void *args) {
  pkv_linear_args *a = args;
  if (dst->src[0]->ne[1] > FEW_COLUMNS)
    linear_many(dst, ith, nth, a);
  else
    linear_few(dst, ith, nth, a);
  pkv_leave(&a->sync, nth);
}

static size_t linear_workspace(int64_t k, int64_t n, int gated, int nth) {
  if (n <= FEW_COLUMNS) return nth * few_workspace(k, n);
  return PKV_ALIGN(pkv_round_up(n, TILE_ROWS) * (k / UNIT_K) * 4) +
         nth * PKV_ALIGN((size_t)(k / UNIT_K) * TILE_COLS * 4) * (gated ? 2 : 1);
}
