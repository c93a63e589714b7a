// The check at load: each operation on a few ragged shapes, one thread.
#include "check.h"

static void alone(pkv_op op, pkv_tensor *dst, int nth, void *args) {
  (void)nth;
  op(dst, 0, 1, args);
}

// Small, but more than one block of keys and one part of a cache, and every type of weights.
static const check_size SIZES[] = {{16, 0, 0, 0}, {2, 70, -1, 0}, {10, 70, -1, 0}};
#define MANY_ROWS 4 // at most, of weights times many columns
#define ATTENTION_CASES 3
#define DECODE_CASES 1

// Largest error of the cases of an operation, relative to the size of its results; not a number where it failed.
PKV_EXPORT double pkv_selftest(const pkv_isa *isa, int operation) {
  const int cases[] = {N_CHECK_TYPES, ATTENTION_CASES, DECODE_CASES};
  pkv_random r = {.state = 42 + (uint64_t)operation};
  double worst = 0;
  for (int i = 0; i < cases[operation]; i++) {
    check_size size = SIZES[operation];
    if (operation == 0) size.kind = i;
    const double error = CHECKS[operation].run(isa, &r, alone, 1, size);
    if (!(error <= worst)) worst = error;
    if (operation != 0) continue;
    const double of_many = CHECKS[operation].run(isa, &r, alone, 1, (check_size){MANY_ROWS, 0, i, 1});
    if (!(of_many <= worst)) worst = of_many;
  }
  return worst;
}
