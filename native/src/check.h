// Random cases of every operation, run on one or more threads and compared with plain loops.
#pragma once
#include "reference.h"
#include <stdlib.h>

typedef struct {
  uint64_t state;
} pkv_random;

static uint32_t random_bits(pkv_random *r) {
  r->state = r->state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(r->state >> 33);
}
static int random_below(pkv_random *r, int n) { return (int)(random_bits(r) % (uint32_t)n); }
static float random_float(pkv_random *r) { return (float)random_bits(r) / 1073741824.f - 1.f; }

// Runs an operation on `nth` threads.
typedef void (*runner)(pkv_op op, pkv_tensor *dst, int nth, void *args);

static pkv_tensor check_tensor(int type, size_t block, size_t block_bytes, int64_t n0, int64_t n1, int64_t n2) {
  const size_t row = n0 / block * block_bytes;
  pkv_tensor t = {.type = type, .ne = {n0, n1, n2, 1}, .nb = {block_bytes, row, row * n1, row * n1 * n2}};
  t.data = aligned_alloc(64, PKV_ALIGN(t.nb[3] + 64));
  if (t.data) memset(t.data, 0, PKV_ALIGN(t.nb[3] + 64));
  return t;
}
static pkv_tensor check_floats(pkv_random *r, int64_t n0, int64_t n1, int64_t n2) {
  pkv_tensor t = check_tensor(T_F32, 1, 4, n0, n1, n2);
  for (int64_t i = 0; i < n0 * n1 * n2; i++) ((float *)t.data)[i] = random_float(r);
  return t;
}

// Finite halves below 2 in size.
static void check_half(pkv_random *r, uint8_t *p) {
  p[0] = (uint8_t)random_bits(r);
  p[1] = (uint8_t)((random_bits(r) & 0x83) | (8 + random_below(r, 8)) << 2);
}

static const struct {
  int type, block, bytes, halves[3];
} CHECK_TYPES[] = {{T_F32, 1, 4, {-1}},
                   {T_F16, 1, 2, {0, -1}},
                   {T_BF16, 1, 2, {-1}},
                   {T_Q8_0, 32, 34, {0, -1}},
                   {T_Q4_0, 32, 18, {0, -1}},
                   {T_Q4_1, 32, 20, {0, 2, -1}},
                   {T_Q4_K, 256, 144, {0, 2, -1}},
                   {T_Q6_K, 256, 210, {208, -1}}};
#define N_CHECK_TYPES ((int)(sizeof CHECK_TYPES / sizeof *CHECK_TYPES))

static pkv_tensor check_weights(pkv_random *r, int kind, int64_t k, int64_t rows) {
  pkv_tensor t = check_tensor(CHECK_TYPES[kind].type, CHECK_TYPES[kind].block, CHECK_TYPES[kind].bytes, k, rows, 1);
  uint8_t *p = t.data;
  for (int64_t b = 0; b < (int64_t)(t.nb[2] / CHECK_TYPES[kind].bytes); b++, p += CHECK_TYPES[kind].bytes) {
    const float f = random_float(r);
    for (int i = 0; i < CHECK_TYPES[kind].bytes; i++) p[i] = (uint8_t)random_bits(r);
    for (int i = 0; i < 3 && CHECK_TYPES[kind].halves[i] >= 0; i++) check_half(r, p + CHECK_TYPES[kind].halves[i]);
    if (CHECK_TYPES[kind].type == T_F32) memcpy(p, &f, 4);
    if (CHECK_TYPES[kind].type == T_BF16) memcpy(p, (const uint8_t *)&f + 2, 2);
  }
  return t;
}
static pkv_tensor check_halves(pkv_random *r, int64_t n0, int64_t n1, int64_t n2) {
  pkv_tensor t = check_tensor(T_F16, 1, 2, n0, n1, n2);
  for (int64_t i = 0; i < n0 * n1 * n2; i++) check_half(r, (uint8_t *)t.data + 2 * i);
  return t;
}

// How large a random case is.
typedef struct {
  int most;  // columns, rows, queries
  int least; // keys at least
  int kind;  // of weights, an index of CHECK_TYPES; -1: any
  int many;  // whether there are so many columns that bytes of them are one a value
} check_size;

static pkv_workspace check_workspace(size_t size) {
  pkv_workspace w = {aligned_alloc(64, PKV_ALIGN(size + 1)), size};
  return w;
}

// Largest error over the root mean square of what is expected.
typedef struct {
  double worst, squares;
  int64_t n;
} check_error;
static void check_add(check_error *e, double got, double expected) {
  const double d = fabs(got - expected);
  if (!(d <= e->worst)) e->worst = d; // also where it is not a number
  e->squares += expected * expected;
  e->n++;
}
static void check_rounding(check_error *e, double half, double expected) {
  check_add(e, half, fabs(half - expected) <= fabs(expected) / 2048 + 1e-6 ? half : expected + 1);
}
static double check_result(const check_error *e) {
  return e->worst / (sqrt(e->squares / (double)(e->n ? e->n : 1)) + 1e-30);
}

static double check_linear(const pkv_isa *isa, pkv_random *r, runner run, int nth, check_size size) {
  const int most = size.most, kind = size.kind < 0 ? random_below(r, N_CHECK_TYPES) : size.kind,
            few = 1 + random_below(r, random_below(r, 2) ? 7 : most), gated = random_below(r, 3) == 0,
            n = size.many ? COARSE_COLUMNS - 8 + random_below(r, 16) : few;
  const int32_t columns = 1 + random_below(r, n); // of a decode step
  const int64_t k = (CHECK_TYPES[kind].block == 256 ? 256 : 32) * (1 + random_below(r, 3));
  pkv_linear_args a = {.n_weights = gated ? 2 : 1 + random_below(r, 3),
                       .gated = gated,
                       .columns = random_below(r, 3) ? 0 : &columns,
                       .norm = -1,
                       .epsilon = 1e-5f,
                       .residual = -1,
                       .bias = {-1, -1, -1}};
  pkv_tensor all[10], dst = {0};
  int used = 0;
  int64_t rows = 0;
  all[used++] = check_floats(r, k, n, 1);
  for (int i = 0; i < a.n_weights; i++) {
    const int64_t m = gated && i ? rows : 1 + random_below(r, most);
    all[used++] = check_weights(r, gated || i == 0 ? kind : 0, k, m);
    rows = gated ? m : rows + m;
  }
  if (random_below(r, 2)) a.norm = used, all[used++] = check_floats(r, k, 1, 1);
  if (random_below(r, 2)) a.residual = used, all[used++] = check_floats(r, rows, n, 1);
  for (int i = 0; i < a.n_weights; i++)
    if (random_below(r, 2)) a.bias[i] = used, all[used] = check_floats(r, all[1 + i].ne[1], 1, 1), used++;
  dst = check_tensor(T_F32, 1, 4, rows, n, 1);
  for (int i = 0; i < used; i++) dst.src[i] = &all[i];
  int packs = 0;
  for (int i = 0; i < a.n_weights; i++) packs |= isa->linear_packs(all[1 + i].type);
  pkv_workspace w = check_workspace(isa->linear_workspace(k, n, a.columns != 0, gated, packs, nth));
  a.workspace = &w;
  check_error e = {0};
  for (int repeat = 0; repeat < 2; repeat++) run(isa->linear, &dst, nth, &a); // twice: the counters must be ready again
  for (int64_t j = 0; j < (a.columns ? columns : n); j++)
    for (int64_t i = 0; i < rows; i++)
      check_add(&e, reference_floats(&dst, j, 0)[i], reference_linear(isa, &dst, &a, i, j));
  for (int i = 0; i < used; i++) free(all[i].data);
  free(dst.data);
  free(w.data);
  return check_result(&e);
}

static double check_attention(const pkv_isa *isa, pkv_random *r, runner run, int nth, check_size size) {
  const int most = size.most;
  static const int DIMS[] = {64, 80, 96, 128, 256};
  const int64_t dim = DIMS[random_below(r, most < 100 ? 2 : 5)], kv = 1 + random_below(r, 3),
                heads = kv * (1 + random_below(r, 5));
  const int64_t nq = 1 + random_below(r, most), nkv = nq + size.least + random_below(r, most);
  pkv_tensor q = check_floats(r, dim, nq, heads), k = check_halves(r, dim, nkv, kv), v = check_halves(r, dim, nkv, kv);
  pkv_tensor sums[PKV_SUMS], dst = check_tensor(T_F32, 1, 4, dim, heads, nq);
  pkv_tensor sinks = check_floats(r, heads, 1, 1);
  pkv_attention_args a = {.scale = 0.2f,
                          .softcap = random_below(r, 3) ? 0 : 2.f,
                          .sinks = -1,
                          .window = random_below(r, 2) ? 1 + random_below(r, 100) : 0,
                          .values = random_below(r, 4) > 0,
                          .peaks = random_below(r, 3) == 0};
  const int summed = random_below(r, PKV_SUMS + a.values) + !a.values;
  dst.src[0] = &q, dst.src[1] = &k, dst.src[2] = &v;
  for (int c = 0; c < PKV_SUMS; c++) {
    sums[c] = check_tensor(T_F32, 1, 4, nkv, heads, 1);
    a.sums[c] = c < summed ? 2 + a.values + c : -1;
    a.distance[c] = random_below(r, 2) ? random_below(r, 70) : 0;
    if (c < summed) dst.src[a.sums[c]] = &sums[c];
  }
  if (random_below(r, 3) == 0) a.sinks = 2 + a.values + summed, dst.src[a.sinks] = &sinks;
  pkv_workspace w = check_workspace(isa->attention_workspace(dim, nkv, summed, (int)(heads / kv), nth));
  a.workspace = &w;
  for (int repeat = 0; repeat < 2; repeat++) {
    for (int c = 0; c < PKV_SUMS; c++) memset(sums[c].data, 0, sums[c].nb[2]);
    run(isa->attention, &dst, nth, &a);
  }
  check_error e = {0}, es = {0};
  double *p = malloc(nkv * sizeof *p), *received = calloc(nkv * PKV_SUMS, sizeof *received);
  double *keys = reference_halves(&k), *values = reference_halves(&v);
  for (int64_t h = 0; h < heads; h++) {
    memset(received, 0, nkv * PKV_SUMS * sizeof *received);
    for (int64_t i = 0; i < nq; i++) {
      reference_softmax(p, &dst, keys, i, h, &a);
      for (int c = 0; c < summed; c++)
        for (int64_t j = 0; j <= nkv - nq + i - a.distance[c]; j++) {
          double *at = &received[c * nkv + j];
          *at = a.peaks ? fmax(*at, p[j]) : *at + p[j];
        }
      for (int64_t d = 0; d < dim && a.values; d++) {
        double x = 0;
        for (int64_t j = 0; j < nkv; j++) x += p[j] * values[(h / (heads / kv) * nkv + j) * dim + d];
        check_add(&e, reference_floats(&dst, h, i)[d], x);
      }
    }
    for (int c = 0; c < summed; c++)
      for (int64_t j = 0; j < nkv; j++) check_add(&es, reference_floats(&sums[c], h, 0)[j], received[c * nkv + j]);
  }
  free(keys), free(values), free(p), free(received), free(q.data), free(k.data), free(v.data), free(dst.data),
      free(w.data), free(sinks.data);
  for (int c = 0; c < PKV_SUMS; c++) free(sums[c].data);
  const double error = check_result(&e), column_sums = check_result(&es);
  return error > column_sums || error != error ? error : column_sums;
}

#define MOST_SEGMENTS 3

// Key or value `j` of those in a head's segments, as numbers.
static void reference_row(double *out, const pkv_segment *s, int values, int64_t j, int64_t dim) {
  for (; j >= s->length && s[1].k && s[1].length >= 0; s++) j -= s->length;
  const uint8_t *row = (const uint8_t *)(values ? s->v : s->k) + j * dim * 2;
  for (int64_t d = 0; d < dim; d++) out[d] = reference_half(row + 2 * d);
}

// A decode step of some sequences with ragged heads, each in several places, and a rotation, which share their arguments.
static double check_decode(const pkv_isa *isa, pkv_random *r, runner run, int nth, check_size size) {
  const int most = size.least + size.most;
  const int64_t dim = random_below(r, 2) ? 64 : 96;
  const int kv = 1 + random_below(r, 3), group = 1 + random_below(r, 4), heads = kv * group;
  const int32_t columns = 1 + random_below(r, 3);
  const int n = columns + random_below(r, 2), all_heads = kv * columns, room = most + 2;
  pkv_tensor qkv = check_floats(r, dim * (heads + 2 * kv), n, 1), table = check_floats(r, dim, n, 1);
  const int64_t rows = (int64_t)all_heads * MOST_SEGMENTS * room;
  pkv_tensor k = check_halves(r, dim, rows, 1), v = check_halves(r, dim, rows, 1),
             segments = check_tensor(27, 1, 8, 3, MOST_SEGMENTS + 1, kv * n), // one more, which ends the last
      held = check_tensor(27, 1, 8, 4, n, 1), dst = check_tensor(T_F32, 1, 4, dim * heads, n, 1),
             queries = check_tensor(T_F32, 1, 4, dim * heads, n, 1), sinks = check_floats(r, heads, 1, 1);
  int64_t parts = 0, tokens[64];
  for (int h = 0; h < all_heads; h++) {
    pkv_segment *s = (pkv_segment *)segments.data + h * segments.ne[1];
    const int used = 1 + random_below(r, MOST_SEGMENTS);
    tokens[h] = 0;
    for (int i = 0; i < used; i++) {
      const int64_t first = (int64_t)(h * MOST_SEGMENTS + i) * room * dim * 2;
      s[i] = (pkv_segment){(char *)k.data + first, (char *)v.data + first, 0};
      s[i].length = i < used - 1 ? random_below(r, most) : size.least + random_below(r, size.most);
      tokens[h] += s[i].length, parts += s[i].length / DECODE_PART + 1;
    }
  }
  const int hadamard_block = random_below(r, 2) ? 32 : 0;
  for (int c = 0; c < columns; c++)
    ((pkv_column *)held.data)[c] =
        (pkv_column){T_F16, 0, hadamard_block, random_below(r, 2) ? (float *)queries.data + c * dim * heads : 0};
  pkv_decode_args a = {.shape = {heads, kv, random_below(r, 2), (int32_t)(random_below(r, 2) ? dim : dim / 2)},
                       .scale = 0.2f,
                       .softcap = random_below(r, 3) ? 0 : 2.f,
                       .sinks = random_below(r, 3) ? -1 : 4,
                       .columns = &columns};
  pkv_workspace w = check_workspace(isa->decode_workspace(dim, parts, group, nth));
  a.workspace = &w;
  pkv_tensor *sources[] = {&qkv, &table, &segments, &held, &sinks};
  for (int i = 0; i < 5; i++) dst.src[i] = sources[i];
  for (int repeat = 0; repeat < 2; repeat++) run(isa->decode, &dst, nth, &a);
  check_error e = {0};
  double *p = malloc((MOST_SEGMENTS * room + 1) * sizeof *p), q[512], key[512], value[512], x[512], row[512];
  for (int c = 0; c < columns; c++)
    for (int h = 0; h < heads; h++) {
      const float *own = (float *)qkv.data + c * dim * (heads + 2 * kv), *turn = (float *)table.data + c * dim;
      const pkv_segment *s = (pkv_segment *)segments.data + (c * kv + h / group) * segments.ne[1];
      const int64_t last = tokens[c * kv + h / group];
      reference_rotation(q, own + h * dim, turn, dim, &a.shape);
      reference_rotation(key, own + (heads + h / group) * dim, turn, dim, &a.shape);
      for (int64_t d = 0; d < dim; d++) value[d] = own[(heads + kv + h / group) * dim + d];
      reference_hadamard(q, dim, hadamard_block), reference_hadamard(key, dim, hadamard_block),
          reference_hadamard(value, dim, hadamard_block);
      reference_row(row, s, 0, last, dim); // the token's own key and value were appended
      for (int64_t d = 0; d < dim; d++) check_rounding(&e, row[d], key[d]);
      reference_row(row, s, 1, last, dim);
      for (int64_t d = 0; d < dim; d++) check_rounding(&e, row[d], value[d]);
      const double sink = reference_sink(&dst, a.sinks, h);
      double most_score = sink, sum = 0;
      for (int64_t j = 0; j <= last; j++) {
        double score = 0;
        reference_row(row, s, 0, j, dim);
        for (int64_t d = 0; d < dim; d++) score += q[d] * row[d];
        p[j] = reference_logit(score * a.scale, a.softcap);
        if (p[j] > most_score) most_score = p[j];
      }
      sum = exp(sink - most_score);
      for (int64_t j = 0; j <= last; j++) sum += p[j] = exp(p[j] - most_score);
      for (int64_t d = 0; d < dim; d++) x[d] = 0;
      for (int64_t j = 0; j <= last; j++) {
        reference_row(row, s, 1, j, dim);
        for (int64_t d = 0; d < dim; d++) x[d] += p[j] / sum * row[d];
      }
      reference_hadamard(x, dim, hadamard_block);
      const float *query = ((pkv_column *)held.data)[c].query;
      for (int64_t d = 0; d < dim; d++) check_add(&e, ((float *)dst.data)[(c * heads + h) * dim + d], x[d]);
      for (int64_t d = 0; d < dim && query; d++) check_add(&e, query[h * dim + d], own[h * dim + d]);
    }
  pkv_rotate_args rotation = a.shape;
  pkv_tensor turned = check_tensor(T_F32, 1, 4, dim, heads, 1), one = qkv;
  one.ne[1] = 1;
  k.nb[2] = k.nb[1], v.nb[2] = v.nb[1]; // one row a head
  turned.src[0] = &one, turned.src[1] = &table, turned.src[2] = &k, turned.src[3] = &v;
  run(isa->rotate, &turned, nth, &rotation);
  for (int h = 0; h < heads; h++) {
    reference_rotation(q, (float *)qkv.data + h * dim, table.data, dim, &a.shape);
    for (int64_t d = 0; d < dim; d++) check_add(&e, ((float *)turned.data)[h * dim + d], q[d]);
  }
  free(p), free(turned.data), free(w.data), free(dst.data), free(k.data), free(v.data), free(queries.data);
  for (int i = 0; i < 5; i++) free(sources[i]->data);
  return check_result(&e);
}

typedef double (*check)(const pkv_isa *, pkv_random *, runner, int nth, check_size);
static const struct {
  const char *name;
  check run;
} CHECKS[] = {{"linear", check_linear}, {"attention", check_attention}, {"decode", check_decode}};
#define N_CHECKS ((int)(sizeof CHECKS / sizeof *CHECKS))
