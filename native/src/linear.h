// dst = W x, and what comes before and after it.
#pragma once
#include "linear_few.h"
#include "linear_many.h"

static void linear(pkv_tensor *dst, int ith, int nth, void *args) {
  pkv_linear_args *a = args;
  const int64_t n = dst->src[0]->ne[1];
  if (a->columns)
    linear_few(dst, *a->columns, ith, nth, a);
  else if (n > FEW_COLUMNS)
    linear_many(dst, ith, nth, a);
  else
    linear_few(dst, n, ith, nth, a);
  pkv_leave(&a->sync, nth);
}

// decode: whether the columns are those of a decode step, `n` at most.
static size_t linear_workspace(int64_t k, int64_t n, int decode, int gated, int packs, int nth) {
  if (decode || n <= FEW_COLUMNS) return nth * few_workspace(k, n);
  return many_workspace(k, pkv_round_up(n, TILE_ROWS), packs) + nth * panel_workspace(k) * (gated ? 2 : 1);
}
