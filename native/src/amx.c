// AMX bf16: products in tiles, all else in AVX-512.
#define _GNU_SOURCE
#include "cpu.h"
#include "vec_avx512.h"
#undef TILE_ROWS
#undef TILE_VECS
#define TILE_ROWS 32
#define TILE_VECS 2
#include "units_bf16.h"
#include "tile_amx.h"
#include "kernels.h"
#if defined(__linux__) && !defined(PKV_EMULATE_AMX)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static int available(void) {
#if defined(PKV_EMULATE_AMX)
  return 1;
#elif defined(__linux__)
  if (!cpu_has_bf16()) return 0;
  unsigned a = 7, b = 0, c = 0, d = 0; // leaf 7: EDX bit 22 amx-bf16, bit 24 amx-tile
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  // Linux lends the tile registers to a process that asks: ARCH_REQ_XCOMP_PERM of XTILEDATA.
  return (d >> 22 & 1) && (d >> 24 & 1) && syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
  return 0;
#endif
}

PKV_ISA(amx, available)
