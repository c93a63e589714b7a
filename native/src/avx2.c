// AVX2 in f32.
#include "vec_avx2.h"
#include "units_f32.h"
#include "kernels.h"

static int available(void) {
  __builtin_cpu_init();
  // Whatever has AVX2 has F16C, and clang does not know that name here.
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

PKV_ISA(avx2, available)
