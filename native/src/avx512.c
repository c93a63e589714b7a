// AVX-512 in f32.
#include "cpu.h"
#include "vec_avx512.h"
#include "units_f32.h"
#include "kernels.h"

PKV_ISA(avx512, cpu_has_avx512)
