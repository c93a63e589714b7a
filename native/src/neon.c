// ARM NEON in f32.
#include "vec_neon.h"
#include "units_f32.h"
#include "kernels.h"

static int available(void) { return 1; }

PKV_ISA(neon, available)
