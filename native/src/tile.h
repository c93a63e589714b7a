// The one product that everything is made of: c[TILE_ROWS][TILE_COLS] (+)= a b, sums in registers. `a` has rows of
// units that are broadcast, `lda` units apart; `b` has `steps` rows of TILE_COLS units.
#pragma once
#ifndef TILE_STEP
#define TILE_STEP 1             // steps must be a multiple of this
INLINE void tile_begin(void) {} // before the first product of a thread in an operation
INLINE void tile_end(void) {}   // after its last

INLINE void tile_product(float *c, const uint32_t *a, size_t lda, const uint32_t *b, int steps, int accumulate) {
  vf sum[TILE_ROWS][TILE_VECS];
  UNROLL
  for (int u = 0; u < TILE_ROWS; u++) UNROLL
  for (int v = 0; v < TILE_VECS; v++) sum[u][v] = accumulate ? v_load(c + (u * TILE_VECS + v) * LANES) : v_zero();
  const uint32_t *next = a + TILE_ROWS * lda;
  for (int s = 0; s < steps; s++) {
    __builtin_prefetch(next + (size_t)s * TILE_ROWS); // the rows of the product after this one
    vu row[TILE_VECS];
    UNROLL
    for (int v = 0; v < TILE_VECS; v++) row[v] = u_load(b + ((size_t)s * TILE_VECS + v) * LANES);
    UNROLL
    for (int u = 0; u < TILE_ROWS; u++) {
      const vu x = u_set1(a[u * lda + s]);
      UNROLL
      for (int v = 0; v < TILE_VECS; v++) sum[u][v] = u_dot(sum[u][v], x, row[v]);
    }
  }
  UNROLL
  for (int u = 0; u < TILE_ROWS; u++) UNROLL
  for (int v = 0; v < TILE_VECS; v++) v_store(c + (u * TILE_VECS + v) * LANES, sum[u][v]);
}
#endif
#define TILE_COLS (TILE_VECS * LANES)
