// AVX-512 with matmuls by products of bytes, attention in f32.
#include "cpu.h"
#include "vec_avx512.h"
#include "units_f32.h"
#define BYTE_TILES
#include "kernels.h"

PKV_ISA(avx512vnni, cpu_has_vnni)
