// Many columns times quantized weights by products of bytes (AVX-512 VNNI), four in one instruction: columns are
// rounded with a scale for each block of 32, and weights are their codes, which loses nothing. For types whose blocks
// of 32 have one scale. Very many columns, long prompts, are rounded to 8 bits, as ggml rounds them; fewer ones to 15
// bits, as two columns of bytes whose results are added, as single columns are (byte_dots.h).
#pragma once
#include "coded.h"
#include "columns.h"
#ifdef BYTE_TILES
#define BYTE_ROWS 4 // of a product: sums of a block and of all blocks, 12 registers each

// Columns of bytes that each column is rounded to, by how many columns there are.
INLINE int byte_parts(int64_t padded) { return padded < COARSE_COLUMNS ? 2 : 1; }

// Columns as bytes: codes [n][k], value = scale * code, and a block's scale and sum of values [n][k / BLOCK].
typedef struct {
  int8_t *codes;
  float *scales, *sums;
  int parts;
} byte_columns;

INLINE size_t byte_columns_size(int64_t k, int64_t padded) {
  const int64_t n = padded * byte_parts(padded);
  return PKV_ALIGN(n * k) + 2 * PKV_ALIGN(n * (k / BLOCK) * 4);
}

INLINE byte_columns byte_columns_at(char *p, int64_t k, int64_t padded) {
  const int64_t n = padded * byte_parts(padded);
  const size_t codes = PKV_ALIGN(n * k), scales = PKV_ALIGN(n * (k / BLOCK) * 4);
  return (byte_columns){(int8_t *)p, (float *)(p + codes), (float *)(p + codes + scales), byte_parts(padded)};
}

// A block as codes of a byte, their scale and the sum of what they stand for.
INLINE void put_codes(const byte_columns *c, int64_t column, int64_t b, int64_t k, const vu *codes, float scale) {
  vu sum = _mm512_setzero_si512();
  UNROLL
  for (int i = 0; i < 2; i++) {
    _mm_storeu_si128((__m128i *)(c->codes + column * k + b * BLOCK + i * LANES), _mm512_cvtepi32_epi8(codes[i]));
    sum = _mm512_add_epi32(sum, codes[i]);
  }
  c->scales[column * (k / BLOCK) + b] = scale;
  c->sums[column * (k / BLOCK) + b] = scale * (float)_mm512_reduce_add_epi32(sum);
}

// One column, normed where `weight` is given.
static void pack_bytes(const byte_columns *c, int64_t column, const float *x, const float *weight, float epsilon,
                       int64_t k) {
  const vf norm = v_set1(weight ? norm_scale(x, k, epsilon) : 1);
  const float steps = c->parts == 1 ? 127 : COLUMN_STEPS;
  for (int64_t b = 0; b < k / BLOCK; b++) {
    vf a[2], most = v_zero();
    vu q[2], high[2], low[2];
    UNROLL
    for (int i = 0; i < 2; i++) {
      const int64_t at = b * BLOCK + i * LANES;
      a[i] = v_load(x + at);
      if (weight) a[i] = v_mul(v_mul(a[i], norm), v_load(weight + at));
      most = v_max(most, _mm512_abs_ps(a[i]));
    }
    const float max = _mm512_reduce_max_ps(most), scale = max / steps, inverse = max > 0 ? steps / max : 0;
    UNROLL
    for (int i = 0; i < 2; i++) {
      q[i] = _mm512_cvtps_epi32(v_mul(a[i], v_set1(inverse)));
      high[i] = _mm512_srai_epi32(_mm512_add_epi32(q[i], _mm512_set1_epi32(64)), 7);
      low[i] = _mm512_sub_epi32(q[i], _mm512_slli_epi32(high[i], 7));
    }
    if (c->parts == 1) {
      put_codes(c, column, b, k, q, scale);
    } else {
      put_codes(c, 2 * column, b, k, high, 128 * scale);
      put_codes(c, 2 * column + 1, b, k, low, scale);
    }
  }
}

// A panel: codes [k / 4][TILE_COLS][4], and of each block scales and minima [k / BLOCK][2][TILE_COLS].
INLINE float *panel_scales(const void *panel, int64_t k) { return (float *)((char *)panel + k * TILE_COLS); }
INLINE size_t byte_panel_size(int64_t k) { return PKV_ALIGN(k * TILE_COLS + 2 * (k / BLOCK) * TILE_COLS * 4); }

#define DEFINE_BYTE_PANEL(type, name)                                                                                  \
  static void byte_panel_##name(uint32_t *out, const uint8_t *w, size_t row_bytes, int rows, int64_t k) {              \
    const int blocks = (int)(k / BLOCK);                                                                               \
    float *scales = panel_scales(out, k);                                                                              \
    for (int v = 0; v < TILE_VECS; v++) {                                                                              \
      for (int b = 0; b < blocks; b += 2) { /* two blocks are the 16 units that are transposed at once */              \
        vu units[LANES];                                                                                               \
        for (int r = 0; r < LANES; r++) {                                                                              \
          const int row = v * LANES + r;                                                                               \
          const coded_pair c = row < rows ? pair_at_##name(w + (size_t)row * row_bytes, b, blocks) : (coded_pair){0};  \
          float d[4], m[4]; /* of halves, which are alike */                                                           \
          _mm_storeu_ps(d, c.d), _mm_storeu_ps(m, c.m);                                                                \
          for (int i = 0; i < 2 && b + i < blocks; i++) {                                                              \
            scales[(2 * (b + i) + 0) * TILE_COLS + row] = d[2 * i];                                                    \
            scales[(2 * (b + i) + 1) * TILE_COLS + row] = m[2 * i];                                                    \
          }                                                                                                            \
          units[r] = c.code;                                                                                           \
        }                                                                                                              \
        u_transpose(units);                                                                                            \
        uint32_t *o = out + (size_t)b * (BLOCK / 4) * TILE_COLS + v * LANES;                                           \
        const int used = b + 1 < blocks ? LANES : LANES / 2;                                                           \
        UNROLL                                                                                                         \
        for (int r = 0; r < LANES; r++)                                                                                \
          if (r < used) u_store(o + (size_t)r * TILE_COLS, units[r]);                                                  \
      }                                                                                                                \
    }                                                                                                                  \
  }

EVEN_CODED_TYPES(DEFINE_BYTE_PANEL)

// c[BYTE_ROWS][TILE_COLS] of columns from `column` on.
INLINE void byte_product(float *c, const byte_columns *x, int64_t column, const uint32_t *panel, int64_t k) {
  const int64_t blocks = k / BLOCK;
  const int8_t *codes = x->codes + column * k, *next = codes + BYTE_ROWS * k;
  const float *scales = x->scales + column * blocks, *sums = x->sums + column * blocks;
  const float *d = panel_scales(panel, k);
  vf acc[BYTE_ROWS][TILE_VECS];
  UNROLL
  for (int u = 0; u < BYTE_ROWS; u++) UNROLL
  for (int v = 0; v < TILE_VECS; v++) acc[u][v] = v_zero();
  for (int64_t b = 0; b < blocks; b++, d += 2 * TILE_COLS) {
    vu sum[BYTE_ROWS][TILE_VECS];
    UNROLL
    for (int u = 0; u < BYTE_ROWS; u++) UNROLL
    for (int v = 0; v < TILE_VECS; v++) sum[u][v] = _mm512_setzero_si512();
    __builtin_prefetch(next + b * BLOCK * BYTE_ROWS); // the columns of the product after this one
    __builtin_prefetch(next + b * BLOCK * BYTE_ROWS + 64);
    UNROLL
    for (int s = 0; s < BLOCK / 4; s++, panel += TILE_COLS) {
      vu row[TILE_VECS];
      UNROLL
      for (int v = 0; v < TILE_VECS; v++) row[v] = u_load(panel + v * LANES);
      UNROLL
      for (int u = 0; u < BYTE_ROWS; u++) {
        int32_t four;
        memcpy(&four, codes + u * k + b * BLOCK + s * 4, 4);
        UNROLL
        for (int v = 0; v < TILE_VECS; v++) sum[u][v] = _mm512_dpbusd_epi32(sum[u][v], row[v], u_set1((uint32_t)four));
      }
    }
    UNROLL
    for (int u = 0; u < BYTE_ROWS; u++) {
      const vf scale = v_set1(scales[u * blocks + b]), total = v_set1(sums[u * blocks + b]);
      UNROLL
      for (int v = 0; v < TILE_VECS; v++) {
        acc[u][v] = v_fma(_mm512_cvtepi32_ps(sum[u][v]), v_mul(v_load(d + v * LANES), scale), acc[u][v]);
        acc[u][v] = v_fma(v_load(d + TILE_COLS + v * LANES), total, acc[u][v]);
      }
    }
  }
  UNROLL
  for (int u = 0; u < BYTE_ROWS; u++) UNROLL
  for (int v = 0; v < TILE_VECS; v++) v_store(c + (u * TILE_VECS + v) * LANES, acc[u][v]);
}

// c[BYTE_ROWS / 2][TILE_COLS]: results of columns in two parts, each pair's sum.
static void byte_sums(float *c, const byte_columns *x, int64_t column, const uint32_t *panel, int64_t k) {
  float both[BYTE_ROWS][TILE_COLS] __attribute__((aligned(64)));
  byte_product(both[0], x, column, panel, k);
  for (int u = 0; u < BYTE_ROWS / 2; u++) UNROLL
  for (int v = 0; v < TILE_COLS; v += LANES)
    v_store(c + u * TILE_COLS + v, v_add(v_load(both[2 * u] + v), v_load(both[2 * u + 1] + v)));
}
#endif
