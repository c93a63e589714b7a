// The product in AMX tiles: c[32][32] (+)= a b, with bf16 pairs. Tiles 0 to 3 hold the sums, 4 and 5 rows of a, 6 and 7
// of b; each is 16 rows of 64 bytes. `a` is read as it lies, 16 units a step; `b` has its units in the order that tiles
// want.
#pragma once
#include "amx.h"

#define TILE_STEP 16
#define FENCE __asm__ volatile("" ::: "memory") // GCC's tile intrinsics do not say which memory they touch

typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t column_bytes[16];
  uint8_t rows[16];
} __attribute__((aligned(64))) tile_config;

// ggml configures its tiles once a thread and trusts them afterwards, so what was there is put back.
static __thread tile_config tiles_before;

static void tile_begin(void) {
  tile_config c = {.palette = 1};
  for (int i = 0; i < 8; i++) c.rows[i] = 16, c.column_bytes[i] = 64;
  FENCE;
  amx_store_config(&tiles_before);
  FENCE;
  amx_load_config(&c);
  FENCE;
}

static void tile_end(void) {
  FENCE;
  if (tiles_before.palette)
    amx_load_config(&tiles_before);
  else
    amx_release();
  FENCE;
}

static void tile_product(float *c, const uint32_t *a, size_t lda, const uint32_t *b, int steps, int accumulate) {
  const size_t row = 32 * 4; // bytes of a row of c and of b
  float *c1 = c + 16 * 32;
  const uint32_t *a1 = a + 16 * lda;
  FENCE;
  if (accumulate) {
    amx_load(0, c, row);
    amx_load(1, c + 16, row);
    amx_load(2, c1, row);
    amx_load(3, c1 + 16, row);
  } else {
    amx_zero(0);
    amx_zero(1);
    amx_zero(2);
    amx_zero(3);
  }
  for (int s = 0; s < steps; s += TILE_STEP) {
    const uint32_t *b0 = b + (size_t)s * 32;
    amx_load(4, a + s, lda * 4);
    amx_load(6, b0, row);
    amx_dot(0, 4, 6);
    amx_load(7, b0 + 16, row);
    amx_dot(1, 4, 7);
    amx_load(5, a1 + s, lda * 4);
    amx_dot(2, 5, 6);
    amx_dot(3, 5, 7);
  }
  amx_store(0, c, row);
  amx_store(1, c + 16, row);
  amx_store(2, c1, row);
  amx_store(3, c1 + 16, row);
  FENCE;
}
