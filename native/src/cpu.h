// What this CPU can do.
#pragma once

static inline int cpu_has_avx512(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}

static inline int cpu_has_vnni(void) { return cpu_has_avx512() && __builtin_cpu_supports("avx512vnni"); }

static inline int cpu_has_bf16(void) { return cpu_has_vnni() && __builtin_cpu_supports("avx512bf16"); }

// Intel issues products of bf16 pairs at half the rate of f32 ones, measured on Sapphire Rapids: slower there.
static inline int cpu_has_fast_bf16(void) { return cpu_has_bf16() && __builtin_cpu_is("amd"); }
