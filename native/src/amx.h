// The tile instructions. With PKV_EMULATE_AMX they are plain loops, so that the AMX kernels can be tested on any
// machine.
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#ifndef PKV_EMULATE_AMX
#define amx_load_config(p) _tile_loadconfig(p)
#define amx_store_config(p) _tile_storeconfig(p)
#define amx_release() _tile_release()
#define amx_zero(t) _tile_zero(t)
#define amx_load(t, p, stride) _tile_loadd(t, p, stride)
#define amx_store(t, p, stride) _tile_stored(t, p, stride)
#define amx_dot(c, a, b) _tile_dpbf16ps(c, a, b)
#else
static __thread uint8_t amx_tiles[8][16][64], amx_config[64];
#define amx_load_config(p) memcpy(amx_config, p, 64)
#define amx_store_config(p) memcpy(p, amx_config, 64)
#define amx_release() memset(amx_config, 0, 64)
#define amx_zero(t) memset(amx_tiles[t], 0, sizeof amx_tiles[t])
static void amx_load(int t, const void *p, size_t stride) {
  for (int i = 0; i < 16; i++) memcpy(amx_tiles[t][i], (const char *)p + i * stride, 64);
}
static void amx_store(int t, void *p, size_t stride) {
  for (int i = 0; i < 16; i++) memcpy((char *)p + i * stride, amx_tiles[t][i], 64);
}
static float amx_bf16(const uint8_t *p) {
  const uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}
static void amx_dot(int c, int a, int b) {
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 16; j++) {
      float sum;
      memcpy(&sum, &amx_tiles[c][i][4 * j], 4);
      for (int k = 0; k < 16; k++)
        for (int half = 0; half < 4; half += 2)
          sum += amx_bf16(&amx_tiles[a][i][4 * k + half]) * amx_bf16(&amx_tiles[b][k][4 * j + half]);
      memcpy(&amx_tiles[c][i][4 * j], &sum, 4);
    }
}
#endif
