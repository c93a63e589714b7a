// AVX-512 with matmuls by products of bytes, attention by products of bf16 pairs.
#include "cpu.h"
#include "vec_avx512.h"
#include "units_bf16.h"
#define BYTE_TILES
#include "kernels.h"

PKV_ISA(avx512vnnibf16, cpu_has_fast_bf16)
