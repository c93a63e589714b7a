// AVX2 in f32.
#include "vec_avx2.h"
#include "units_f32.h"
#include "kernels.h"

static int available(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

PKV_ISA(avx2, available)
