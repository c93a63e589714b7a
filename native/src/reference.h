// The same operations as plain loops in double precision: what the kernels are compared with, when the library is
// loaded and in the tests. Slow, and meant to be obviously right.
#pragma once
#include "ops.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double reference_half(const uint8_t *p) {
  const int h = p[0] | p[1] << 8, exponent = h >> 10 & 31, fraction = h & 1023;
  const double value = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
  return h >> 15 ? -value : value;
}

// Weight `i` of a row.
static double reference_weight(int type, const uint8_t *row, int64_t i) {
  const int64_t b = i / 32, r = i % 32, s = i / 256, j = i % 256 / 32;
  float f;
  uint32_t bits;
  switch (type) {
  case T_F32:
    memcpy(&f, row + 4 * i, 4);
    return f;
  case T_F16:
    return reference_half(row + 2 * i);
  case T_BF16:
    bits = (uint32_t)row[2 * i] << 16 | (uint32_t)row[2 * i + 1] << 24;
    memcpy(&f, &bits, 4);
    return f;
  case T_Q8_0:
    return reference_half(row + 34 * b) * (int8_t)row[34 * b + 2 + r];
  case T_Q4_0:
    return reference_half(row + 18 * b) * ((row[18 * b + 2 + r % 16] >> (r / 16 * 4) & 15) - 8);
  case T_Q4_1:
    return reference_half(row + 20 * b) * (row[20 * b + 4 + r % 16] >> (r / 16 * 4) & 15) +
           reference_half(row + 20 * b + 2);
  case T_Q4_K: {
    const uint8_t *p = row + 144 * s, *c = p + 4;
    const int scale = j < 4 ? c[j] & 63 : (c[j + 4] & 15) | c[j - 4] >> 6 << 4,
              least = j < 4 ? c[j + 4] & 63 : c[j + 4] >> 4 | c[j] >> 6 << 4;
    return reference_half(p) * scale * (p[16 + j / 2 * 32 + r] >> (j % 2 * 4) & 15) - reference_half(p + 2) * least;
  }
  case T_Q6_K: {
    const uint8_t *p = row + 210 * s;
    const int half = (int)j / 4, quarter = (int)j % 4;
    const int low = p[half * 64 + quarter % 2 * 32 + r] >> (quarter / 2 * 4) & 15,
              high = p[128 + half * 32 + r] >> (2 * quarter) & 3;
    return reference_half(p + 208) * (int8_t)p[192 + half * 8 + quarter * 2 + r / 16] * ((low | high << 4) - 32);
  }
  default:
    return NAN;
  }
}

static const float *reference_floats(const pkv_tensor *t, int64_t i1, int64_t i2) {
  return (const float *)((const char *)t->data + i1 * t->nb[1] + i2 * t->nb[2]);
}

// A block of values in whole steps; the largest value has this many.
static void reference_round(double *x, int n, int steps) {
  double most = 0;
  for (int i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
  for (int i = 0; i < n && most > 0; i++) x[i] = nearbyint(x[i] * steps / most) * most / steps;
}

// Result `row` of column `j` of a linear operation; many columns are rounded where the variant takes them as bytes.
static double reference_dot(const pkv_isa *isa, const pkv_tensor *dst, const pkv_linear_args *a, int weight,
                            int64_t row, int64_t j) {
  const pkv_tensor *x = dst->src[0], *w = dst->src[1 + weight];
  const int bytes = !a->columns && x->ne[1] > FEW_COLUMNS && isa->linear_packs(w->type) == PACK_BYTES;
  const float *column = reference_floats(x, j, 0);
  double squares = 0, sum = 0;
  for (int64_t k = 0; k < x->ne[0]; k++) squares += (double)column[k] * column[k];
  const double scale = a->norm < 0 ? 1 : 1 / sqrt(squares / x->ne[0] + a->epsilon);
  for (int64_t b = 0; b < x->ne[0]; b += 32) {
    double value[32];
    for (int i = 0; i < 32; i++)
      value[i] = column[b + i] * scale * (a->norm < 0 ? 1 : ((float *)dst->src[a->norm]->data)[b + i]);
    if (bytes) reference_round(value, 32, pkv_round_up(x->ne[1], 8) < COARSE_COLUMNS ? COLUMN_STEPS : 127);
    for (int i = 0; i < 32; i++)
      sum += value[i] * reference_weight(w->type, (const uint8_t *)w->data + row * w->nb[1], b + i);
  }
  return sum + (a->bias[weight] < 0 ? 0 : ((float *)dst->src[a->bias[weight]]->data)[row]);
}

static double reference_linear(const pkv_isa *isa, const pkv_tensor *dst, const pkv_linear_args *a, int64_t at,
                               int64_t j) {
  int64_t row = at;
  int weight = 0;
  if (!a->gated)
    while (row >= dst->src[1 + weight]->ne[1]) row -= dst->src[1 + weight++]->ne[1];
  double y = reference_dot(isa, dst, a, a->gated ? 1 : weight, row, j);
  if (a->gated) {
    const double g = reference_dot(isa, dst, a, 0, row, j);
    y *= g / (1 + exp(-g));
  }
  return y + (a->residual < 0 ? 0 : reference_floats(dst->src[a->residual], j, 0)[at]);
}

// All halves of a contiguous tensor; the caller frees them.
static double *reference_halves(const pkv_tensor *t) {
  const int64_t n = t->ne[0] * t->ne[1] * t->ne[2];
  double *all = malloc(n * sizeof *all);
  for (int64_t i = 0; i < n; i++) all[i] = reference_half((const uint8_t *)t->data + 2 * i);
  return all;
}

// A logit as the softmax takes it.
static double reference_logit(double x, double softcap) { return softcap > 0 ? softcap * tanh(x / softcap) : x; }

// The logit of a query head that takes weight and gives nothing.
static double reference_sink(const pkv_tensor *dst, int32_t sinks, int64_t head) {
  return sinks < 0 ? -INFINITY : ((const float *)dst->src[sinks]->data)[head];
}

// Weights of query `i` of a head over its keys, to p[nkv].
static void reference_softmax(double *p, const pkv_tensor *dst, const double *keys, int64_t i, int64_t head,
                              const pkv_attention_args *a) {
  const pkv_tensor *q = dst->src[0], *k = dst->src[1];
  const int window = a->window;
  const int64_t nkv = k->ne[1], last = nkv - q->ne[1] + i, kv = head / (q->ne[2] / k->ne[2]);
  const double sink = reference_sink(dst, a->sinks, head);
  double most = sink, sum = 0;
  for (int64_t j = 0; j < nkv; j++) {
    p[j] = -INFINITY;
    if (j > last || (window && j <= last - window)) continue;
    const double *key = keys + (kv * nkv + j) * q->ne[0];
    double s = 0;
    for (int64_t d = 0; d < q->ne[0]; d++) s += reference_floats(q, i, head)[d] * key[d];
    p[j] = reference_logit(s * a->scale, a->softcap);
    if (p[j] > most) most = p[j];
  }
  sum = exp(sink - most);
  for (int64_t j = 0; j < nkv; j++) sum += p[j] = exp(p[j] - most);
  for (int64_t j = 0; j < nkv; j++) p[j] /= sum;
}

static void reference_rotation(double *out, const float *x, const float *table, int64_t dim, const pkv_rotate_args *a) {
  const int64_t half = a->rope_dims / 2;
  for (int64_t d = 0; d < dim; d++) out[d] = x[d];
  for (int64_t i = 0; i < half; i++) {
    const int64_t d0 = a->neox ? i : 2 * i, d1 = a->neox ? i + half : 2 * i + 1;
    out[d0] = (double)x[d0] * table[d0] - (double)x[d1] * table[d1];
    out[d1] = (double)x[d0] * table[d1] + (double)x[d1] * table[d0];
  }
}

static void reference_hadamard(double *x, int64_t dim, int block) {
  if (block == 0) return;
  for (double *own = x; own < x + dim; own += block) {
    double out[512];
    for (int i = 0; i < block; i++) {
      out[i] = 0;
      for (int j = 0; j < block; j++) out[i] += __builtin_parity(i & j) ? -own[j] : own[j];
    }
    for (int i = 0; i < block; i++) own[i] = out[i] / sqrt(block);
  }
}
