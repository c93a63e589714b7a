// Many columns (prompts): x and a panel of weights are packed into units and multiplied by tiles, or into bytes.
#pragma once
#include "byte_tile.h"
#include "columns.h"
#include "finish.h"
#include "tile.h"
#include "weights.h"

#define LINE 16 // floats of a cache line
#define BLOCK_UNITS (BLOCK / UNIT_K)
#define BLOCK_UNIT_VECS (BLOCK_UNITS / LANES)

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

// What the loop over one type of weights wants of columns, and how it makes a panel; panels of bytes are the smaller
// ones.
typedef struct {
  int packs; // PACK_UNITS or PACK_BYTES
  void (*panel)(uint32_t *, const uint8_t *, size_t, int, int64_t);
} many_loop;

static many_loop many_loop_of(int type) {
  many_loop loop = {0};
#define CASE(t, read)                                                                                                  \
  if (type == t) loop = (many_loop){PACK_UNITS, panel_##read};
  WEIGHT_TYPES(CASE)
#undef CASE
#ifdef BYTE_TILES
#define CASE(t, name)                                                                                                  \
  if (type == t) loop = (many_loop){PACK_BYTES, byte_panel_##name};
  EVEN_CODED_TYPES(CASE)
#undef CASE
#endif
  return loop;
}

static int linear_packs(int type) { return many_loop_of(type).packs; }

// All columns, rounded up to whole tiles, as units, as bytes, or both.
typedef struct {
  int64_t k, padded;
  int packs;
  uint32_t *units;
#ifdef BYTE_TILES
  byte_columns bytes;
#endif
} many_columns;

INLINE size_t units_of_columns(int64_t k, int64_t padded) { return PKV_ALIGN(padded * (k / UNIT_K) * 4); }

// Bytes of all columns, and of a thread's panel.
static size_t many_workspace(int64_t k, int64_t padded, int packs) {
  size_t size = packs & PACK_UNITS ? units_of_columns(k, padded) : 0;
#ifdef BYTE_TILES
  if (packs & PACK_BYTES) size += byte_columns_size(k, padded);
#endif
  return size;
}
static size_t panel_workspace(int64_t k) { return PKV_ALIGN((size_t)(k / UNIT_K) * TILE_COLS * 4); }

static many_columns pack_columns(const pkv_tensor *dst, const pkv_linear_args *a, int ith, int nth) {
  const pkv_tensor *x = dst->src[0];
  const int64_t k = x->ne[0], n = x->ne[1];
  const float *norm = vector_of(dst, a->norm);
  many_columns c = {.k = k, .padded = pkv_round_up(n, TILE_ROWS), .units = (uint32_t *)a->workspace->data};
  for (int i = 0; i < a->n_weights; i++) c.packs |= linear_packs(dst->src[1 + i]->type);
#ifdef BYTE_TILES
  c.bytes = byte_columns_at(a->workspace->data + many_workspace(k, c.padded, c.packs & PACK_UNITS), k, c.padded);
#endif
  for (int64_t j = c.padded * ith / nth; j < c.padded * (ith + 1) / nth; j++) {
    const float *column = (const float *)((const char *)x->data + pkv_min(j, n - 1) * x->nb[1]);
    if (c.packs & PACK_UNITS) pack_column(c.units + j * (k / UNIT_K), column, norm, a->epsilon, k);
#ifdef BYTE_TILES
    if (c.packs & PACK_BYTES) pack_bytes(&c.bytes, j, column, norm, a->epsilon, k);
#endif
  }
  return c;
}

// Rows of a weight times columns from `column` on.
static void many_product(float *value, const many_columns *c, int64_t column, const uint32_t *panel, int packs) {
#ifdef BYTE_TILES
  if (packs == PACK_BYTES) {
    if (c->bytes.parts == 1)
      for (int j = 0; j < TILE_ROWS; j += BYTE_ROWS)
        byte_product(value + j * TILE_COLS, &c->bytes, column + j, panel, c->k);
    else
      for (int j = 0; j < TILE_ROWS; j += BYTE_ROWS / 2)
        byte_sums(value + j * TILE_COLS, &c->bytes, 2 * (column + j), panel, c->k);
    return;
  }
#endif
  const int64_t ku = c->k / UNIT_K;
  tile_product(value, c->units + column * ku, ku, panel, (int)ku, 0);
}

// A tile of results: columns from `column` on, rows of weight `weight` from `row` on, which are rows of dst `offset`
// on.
typedef struct {
  int64_t column, row, offset;
  int columns, rows, weight;
} result_tile;

INLINE float *result_at(const pkv_tensor *dst, const result_tile *t, int c) {
  return (float *)((char *)dst->data + (t->column + c) * dst->nb[1]) + t->offset;
}

// What finishing will touch is on its way while the tile is multiplied.
static void fetch_results(const pkv_tensor *dst, const pkv_linear_args *a, const result_tile *t) {
  for (int c = 0; c < t->columns; c++) {
    const float *out = result_at(dst, t, c), *residual = residual_at(dst, a, t->column + c, t->offset);
    for (int i = 0; i < t->rows; i += LINE) {
      __builtin_prefetch(out + i, 1);
      if (residual) __builtin_prefetch(residual + i);
    }
  }
}

static void finish_results(pkv_tensor *dst, const pkv_linear_args *a, const result_tile *t, const float *value,
                           const float *gate) {
  finish_args f = finish_of(dst, a, t->weight);
  for (int c = 0; c < t->columns; c++, value += TILE_COLS) {
    f.residual = residual_at(dst, a, t->column + c, t->offset);
    finish(result_at(dst, t, c), value, gate ? gate + c * TILE_COLS : 0, t->rows, t->row, &f);
  }
}

// Panels are taken in turn by whoever is free, and multiplied with all columns.
static void linear_many(pkv_tensor *dst, int ith, int nth, pkv_linear_args *a) {
  const int64_t n = dst->src[0]->ne[1];
  const many_columns columns = pack_columns(dst, a, ith, nth);
  const int64_t k = columns.k;
  char *panels = a->workspace->data + many_workspace(k, columns.padded, columns.packs);
  uint32_t *panel = (uint32_t *)(panels + ith * panel_workspace(k) * (a->gated ? 2 : 1));
  uint32_t *gate_panel = (uint32_t *)((char *)panel + panel_workspace(k));
  int unit = pkv_take(&a->sync), first = 0;
  int64_t offset = 0;
  pkv_barrier(&a->sync, nth);
  tile_begin();
  for (int i = 0; i < (a->gated ? 1 : a->n_weights); i++) {
    const pkv_tensor *w = dst->src[a->gated ? 2 : 1 + i], *g = a->gated ? dst->src[1] : 0;
    const many_loop loop = many_loop_of(w->type), gate_loop = many_loop_of(g ? g->type : w->type);
    const int units = (int)((w->ne[1] + TILE_COLS - 1) / TILE_COLS);
    for (; unit < first + units; unit = pkv_take(&a->sync)) {
      const int64_t row = (int64_t)(unit - first) * TILE_COLS;
      const int rows = (int)pkv_min(w->ne[1] - row, TILE_COLS);
      loop.panel(panel, (const uint8_t *)w->data + row * w->nb[1], w->nb[1], rows, k);
      if (g) gate_loop.panel(gate_panel, (const uint8_t *)g->data + row * g->nb[1], g->nb[1], rows, k);
      for (int64_t j = 0; j < n; j += TILE_ROWS) {
        float value[TILE_ROWS * TILE_COLS] __attribute__((aligned(64))),
            gate[TILE_ROWS * TILE_COLS] __attribute__((aligned(64)));
        const result_tile t = {j, row, offset + row, (int)pkv_min(TILE_ROWS, n - j), rows, i};
        fetch_results(dst, a, &t);
        many_product(value, &columns, j, panel, loop.packs);
        if (g) many_product(gate, &columns, j, gate_panel, gate_loop.packs);
        finish_results(dst, a, &t, value, g ? gate : 0);
      }
    }
    first += units;
    offset += w->ne[1];
  }
  tile_end();
}
