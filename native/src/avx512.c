// AVX-512 in f32.
#include "vec_avx512.h"
#include "units_f32.h"
#include "kernels.h"

static int available(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}

PKV_ISA(avx512, available)
