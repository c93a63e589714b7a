// dst = W x, and what comes before and after it.
#pragma once
#include "linear_few.h"
#include "linear_many.h"

static void linear(pkv_tensor *dst, int ith, int nth, void *args) {
  pkv_linear_args *a = args;
  if (dst->src[0]->ne[1] > FEW_COLUMNS)
    linear_many(dst, ith, nth, a);
  else
    linear_few(dst, ith, nth, a);
  pkv_leave(&a->sync, nth);
}

static size_t linear_workspace(int64_t k, int64_t n, int gated, int packs, int nth) {
  if (n <= FEW_COLUMNS) return nth * few_workspace(k, n);
  return many_workspace(k, pkv_round_up(n, TILE_ROWS), packs) + nth * panel_workspace(k) * (gated ? 2 : 1);
}
