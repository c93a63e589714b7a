// Few columns (decoding): rows of weights are unpacked in registers and multiplied with x as they come from memory.
#pragma once
#include "columns.h"
#include "finish.h"
#include "weights.h"

#define COLUMNS_AT_ONCE 4
#define ROWS_FINISHED 64 // rows whose sums are collected before they are finished
#define BYTES_AHEAD 4096 // prefetched, besides what the CPU does by itself
#include "byte_dots.h"

// sums[c][ROWS_FINISHED] of one row and `nc` columns, a constant where this is inlined. One row after the other is what
// the CPU's prefetchers follow best.
#define DEFINE_DOTS(type, read)                                                                                        \
  INLINE void dots_##read(float *sums, const uint8_t *row, size_t row_bytes, const float *x, int64_t k, int nc) {      \
    const int blocks = (int)(k / BLOCK);                                                                               \
    const size_t step = row_bytes / blocks;                                                                            \
    vf acc[COLUMNS_AT_ONCE][BLOCK_VECS > 1 ? 2 : 1];                                                                   \
    UNROLL                                                                                                             \
    for (int c = 0; c < nc; c++) acc[c][0] = acc[c][1] = v_zero();                                                     \
    for (int b = 0; b < blocks; b++) {                                                                                 \
      vf f[BLOCK_VECS];                                                                                                \
      read(row, b, f);                                                                                                 \
      __builtin_prefetch(row + b * step + BYTES_AHEAD);                                                                \
      UNROLL                                                                                                           \
      for (int c = 0; c < nc; c++) UNROLL                                                                              \
      for (int i = 0; i < BLOCK_VECS; i++)                                                                             \
        acc[c][i % 2] = v_fma(f[i], v_load(x + (size_t)c * k + b * BLOCK + i * LANES), acc[c][i % 2]);                 \
    }                                                                                                                  \
    UNROLL                                                                                                             \
    for (int c = 0; c < nc; c++) sums[c * ROWS_FINISHED] = v_sum(v_add(acc[c][0], acc[c][1]));                         \
  }
WEIGHT_TYPES(DEFINE_DOTS)

// The same for any number of columns: floats, or pairs of blocks of bytes.
#define DEFINE_ROW(name, dots, column, column_size)                                                                    \
  static void name(float *sums, const uint8_t *row, size_t row_bytes, const void *columns, int64_t k, int nc) {        \
    const column *x = columns;                                                                                         \
    if (nc == COLUMNS_AT_ONCE)                                                                                         \
      dots(sums, row, row_bytes, x, k, COLUMNS_AT_ONCE);                                                               \
    else                                                                                                               \
      for (int c = 0; c < nc; c++) dots(sums + c * ROWS_FINISHED, row, row_bytes, x + c * (column_size), k, 1);        \
  }
#define DEFINE_FLOAT_ROW(type, read) DEFINE_ROW(row_##read, dots_##read, float, k)
WEIGHT_TYPES(DEFINE_FLOAT_ROW)
#ifdef CODED_TYPES
#define DEFINE_BYTE_ROW(type, name) DEFINE_ROW(byte_row_##name, byte_dots_##name, byte_pair, pairs_of(k))
CODED_TYPES(DEFINE_BYTE_ROW)
#endif

// The loop over one type of weights.
typedef struct {
  void (*row)(float *, const uint8_t *, size_t, const void *, int64_t, int);
  int bytes; // whether it takes columns of bytes
} few_loop;

static few_loop few_loop_of(int type) {
  few_loop loop = {0};
#define CASE(t, read)                                                                                                  \
  if (type == t) loop = (few_loop){row_##read, 0};
  WEIGHT_TYPES(CASE)
#undef CASE
#ifdef CODED_TYPES
#define CASE(t, name)                                                                                                  \
  if (type == t) loop = (few_loop){byte_row_##name, 1};
  CODED_TYPES(CASE)
#undef CASE
#endif
  return loop;
}

// A thread's own copy of the columns, as floats and, where they are read so, as bytes.
typedef struct {
  float *floats;
  char *bytes;
  int64_t k;
} few_columns;

INLINE size_t bytes_of_columns(int64_t k, int64_t n) {
#ifdef CODED_TYPES
  return PKV_ALIGN(pairs_of(k) * n * sizeof(byte_pair));
#else
  return 0;
#endif
}

static size_t few_workspace(int64_t k, int64_t n) { return PKV_ALIGN(k * n * 4) + bytes_of_columns(k, n); }

static few_columns prepare_columns(const pkv_tensor *dst, int64_t n, const pkv_linear_args *a, int ith) {
  const pkv_tensor *x = dst->src[0];
  const int64_t k = x->ne[0];
  char *at = a->workspace->data + ith * few_workspace(k, n);
  const few_columns c = {(float *)at, at + PKV_ALIGN(k * n * 4), k};
  const float *norm = vector_of(dst, a->norm);
  for (int64_t j = 0; j < n; j++)
    copy_column(c.floats + j * k, (const float *)((const char *)x->data + j * x->nb[1]), norm, a->epsilon, k);
#ifdef CODED_TYPES
  int bytes = 0;
  for (int i = 0; i < a->n_weights; i++) bytes |= few_loop_of(dst->src[1 + i]->type).bytes;
  for (int64_t j = 0; bytes && j < n; j++) bytes_of_column((byte_pair *)c.bytes + j * pairs_of(k), c.floats + j * k, k);
#endif
  return c;
}

// Rows `from .. to` of a weight times columns `column .. column + nc`.
INLINE void few_rows(float *sums, const pkv_tensor *w, int64_t from, int64_t to, const few_columns *x, int64_t column,
                     int nc) {
  const few_loop loop = few_loop_of(w->type);
  const void *columns =
      loop.bytes ? (const void *)(x->bytes + bytes_of_columns(x->k, column)) : x->floats + column * x->k;
  for (int64_t r = from; r < to; r++)
    loop.row(sums + (r - from), (const uint8_t *)w->data + r * w->nb[1], w->nb[1], columns, x->k, nc);
}

// The first `n` columns. Each thread has one stretch of rows: what is fetched ahead is then its own.
static void linear_few(pkv_tensor *dst, int64_t n, int ith, int nth, pkv_linear_args *a) {
  const pkv_tensor *w0 = dst->src[1]; // its first rows are on their way while x is normed
  for (size_t at = 0; at < BYTES_AHEAD; at += 64)
    __builtin_prefetch((const char *)w0->data + w0->ne[1] * ith / nth * w0->nb[1] + at);
  const few_columns columns = prepare_columns(dst, n, a, ith);
  int64_t offset = 0;
  for (int i = 0; i < (a->gated ? 1 : a->n_weights); i++) {
    const pkv_tensor *w = dst->src[1 + i], *up = a->gated ? dst->src[2] : 0;
    const int64_t end = w->ne[1] * (ith + 1) / nth;
    finish_args f = finish_of(dst, a, i);
    for (int64_t from = w->ne[1] * ith / nth; from < end; from += ROWS_FINISHED) {
      const int64_t to = pkv_min(from + ROWS_FINISHED, end);
      for (int64_t c = 0; c < n; c += COLUMNS_AT_ONCE) {
        const int nc = (int)pkv_min(n - c, COLUMNS_AT_ONCE);
        float value[COLUMNS_AT_ONCE][ROWS_FINISHED], gate[COLUMNS_AT_ONCE][ROWS_FINISHED];
        few_rows(up ? gate[0] : value[0], w, from, to, &columns, c, nc);
        if (up) few_rows(value[0], up, from, to, &columns, c, nc);
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
