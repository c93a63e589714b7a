// AVX-512 with products of bf16 pairs, summed in f32.
#include "vec_avx512.h"
#include "units_bf16.h"
#include "kernels.h"

static int available(void) {
  __builtin_cpu_init();
  // Intel issues this product at half the rate of f32 ones, measured on Sapphire Rapids: slower there.
  return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_is("amd");
}

PKV_ISA(avx512bf16, available)
