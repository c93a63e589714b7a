// The check at load: each operation on a few ragged shapes, one thread.
#include "check.h"

static void alone(pkv_op op, pkv_tensor *dst, int nth, void *args) {
  (void)nth;
  op(dst, 0, 1, args);
}

// Largest error of `rounds` random cases of an operation, relative to the size of its results; not a number where it failed.
PKV_EXPORT double pkv_selftest(const pkv_isa *isa, int operation, int rounds) {
  pkv_random r = {.state = 42 + (uint64_t)operation};
  double worst = 0;
  for (int i = 0; i < rounds; i++) {
    const double error = CHECKS[operation].run(isa, &r, alone, 1, 16);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}
