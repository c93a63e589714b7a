// AVX-512 with products of bf16 pairs, summed in f32.
#include "cpu.h"
#include "vec_avx512.h"
#include "units_bf16.h"
#include "kernels.h"

PKV_ISA(avx512bf16, cpu_has_fast_bf16)
