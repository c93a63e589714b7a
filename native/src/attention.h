// Attention of many queries. Scores are built transposed, S^T = K Q^T, 16 (LANES) queries of one head side by side: so
// the online softmax needs no horizontal step, the query heads of a kv head share its keys, and the causal mask is a
// comparison per lane near the diagonal. What each token receives (for SnapKV, PyramidKV, H2O) comes out of the same
// pass: the unscaled weights of a tile are kept until its softmax is known, and then summed over its queries.
#pragma once
#include "ops.h"
#include "softcap.h"
#include "tile.h"
#include <string.h>

#define KEYS 64        // keys of a block
#define NEVER (-2e30f) // score of a key that a query does not see
#define LEAST (-1e30f) // running maximum before the first key
#define KEY_UNITS (KEYS / UNIT_K)

typedef struct {
  int64_t dim, padded_dim, nq, nkv, past, group, vectors, tiles, blocks;
  int values, sums, distance[PKV_SUMS], window, peaks; // sums: kinds of them
  float softcap;
} shape;

// Where things lie in the workspace.
typedef struct {
  uint32_t *k[2],
      *v[2];      // packed, shared by the threads; two of each, so that one head's are packed while another's are read
  char *own;      // per thread
  float *partial; // sums of each thread, [threads][kinds][group][keys]
  float *told;    // maxima and sums of each thread's softmax, [2][threads][2][TILE_COLS]
} layout;

typedef struct {
  uint32_t *q;
  float *s, *o;
  uint32_t *p;
  float *m, *l, *block_m;
  int32_t *first, *last; // keys that each lane sees
} tile_memory;

INLINE int64_t padded_dim_of(int64_t dim) { return pkv_round_up(pkv_round_up(dim, TILE_ROWS), UNIT_K * TILE_STEP); }

static size_t packed_bytes(int64_t dim, int64_t nkv) {
  return PKV_ALIGN(padded_dim_of(dim) / UNIT_K * pkv_round_up(nkv, KEYS) * 4);
}

static size_t own_bytes(int64_t dim, int64_t nkv, int sums) {
  const int64_t d = padded_dim_of(dim), blocks = (nkv + KEYS - 1) / KEYS;
  return PKV_ALIGN((d / UNIT_K + KEYS + d) * TILE_COLS * 4 +
                   (4 + (sums ? blocks * (KEY_UNITS + 1) : 0)) * TILE_COLS * 4);
}

static size_t attention_workspace(int64_t dim, int64_t nkv, int sums, int group, int nth) {
  return 4 * packed_bytes(dim, nkv) + nth * own_bytes(dim, nkv, sums) +
         (sums ? nth * (PKV_ALIGN(sums * group * pkv_round_up(nkv, KEYS) * 4) + 4 * TILE_COLS * 4) : 0);
}

static tile_memory tile_memory_at(char *at, const shape *s) {
  float *f = (float *)at;
  tile_memory t;
  t.q = (uint32_t *)f, f += s->padded_dim / UNIT_K * TILE_COLS;
  t.s = f, f += KEYS * TILE_COLS;
  t.o = f, f += s->padded_dim * TILE_COLS;
  t.m = f, f += TILE_COLS;
  t.l = f, f += TILE_COLS;
  t.first = (int32_t *)f, f += TILE_COLS;
  t.last = (int32_t *)f, f += TILE_COLS;
  t.p = s->sums ? (uint32_t *)f : (uint32_t *)t.s;
  t.block_m = f + s->blocks * KEY_UNITS * TILE_COLS;
  return t;
}

// ---- packing

// Rows of keys as units [keys][padded_dim / UNIT_K].
static void pack_keys(uint32_t *out, const char *k, size_t row_bytes, const shape *s, int64_t from, int64_t to) {
  const int64_t units = s->padded_dim / UNIT_K;
  for (int64_t j = from; j < to; j++) {
    uint32_t *o = out + j * units;
    memset(o, 0, units * 4);
    if (j >= s->nkv) continue;
    for (int64_t d = 0; d < s->dim; d += LANES * UNIT_K) {
      vf a[UNIT_K];
      UNROLL
      for (int u = 0; u < UNIT_K; u++)
        a[u] = d + u * LANES < s->dim ? v_from_f16((const uint16_t *)(k + j * row_bytes) + d + u * LANES) : v_zero();
      if (d + LANES * UNIT_K <= s->padded_dim) {
        u_store(o + d / UNIT_K, u_pack(a));
        continue;
      }
      uint32_t last[LANES];
      u_store(last, u_pack(a));
      memcpy(o + d / UNIT_K, last, (units - d / UNIT_K) * 4);
    }
  }
}

// A block of values, transposed: units [padded_dim][KEYS / UNIT_K].
static void pack_values(uint32_t *out, const char *v, size_t row_bytes, const shape *s, int64_t block) {
  out += block * s->padded_dim * KEY_UNITS;
  for (int64_t d = 0; d < s->dim; d += LANES) {
    for (int64_t j = 0; j < KEYS; j += LANES * UNIT_K) {
      vu r[LANES];
      for (int i = 0; i < LANES; i++) {
        vf pair[UNIT_K];
        UNROLL
        for (int u = 0; u < UNIT_K; u++) {
          const int64_t at = block * KEYS + j + i * UNIT_K + u;
          pair[u] = at < s->nkv ? v_from_f16((const uint16_t *)(v + at * row_bytes) + d) : v_zero();
        }
        r[i] = u_pair(pair);
      }
      u_transpose(r);
      for (int i = 0; i < LANES; i++) u_store(out + (d + i) * KEY_UNITS + j / UNIT_K, r[i]);
    }
  }
  memset(out + s->dim * KEY_UNITS, 0, (s->padded_dim - s->dim) * KEY_UNITS * 4);
}

// Vector `at` of a kv head holds LANES queries of one of its query heads.
INLINE int64_t query_of(int64_t at, const shape *s) { return at / s->group * LANES; }

// The queries of a tile as units [padded_dim / UNIT_K][TILE_COLS], scaled; and the keys that each sees.
static void pack_queries(tile_memory *t, const char *q, const size_t *nb, const shape *s, int64_t first, float scale) {
  for (int v = 0; v < TILE_VECS; v++) {
    const int64_t at = first + v, query = query_of(at, s), head = at % s->group;
    const int64_t n = at < s->vectors ? pkv_min(LANES, s->nq - query) : 0;
    for (int i = 0; i < LANES;
         i++) { // lanes without a query see what the tile's last one sees, so that nothing is undefined
      const int64_t last = s->past + pkv_min(query + i, s->nq - 1);
      t->last[v * LANES + i] = (int32_t)last;
      t->first[v * LANES + i] = s->window ? (int32_t)pkv_max(0, last - s->window + 1) : 0;
    }
    for (int64_t d = 0; d < s->padded_dim; d += LANES) {
      vu r[LANES];
      for (int i = 0; i < LANES; i++)
        r[i] = u_from_vf(i < n && d < s->dim
                             ? v_mul(v_load((const float *)(q + (query + i) * nb[1] + head * nb[2]) + d), v_set1(scale))
                             : v_zero());
      u_transpose(r);
      for (int i = 0; i < LANES && d + i < s->padded_dim; i += UNIT_K) {
        vf f[UNIT_K];
        UNROLL
        for (int u = 0; u < UNIT_K; u++) f[u] = vf_from_u(r[i + u]);
        u_store(t->q + ((d + i) / UNIT_K * TILE_VECS + v) * LANES, u_pair(f));
      }
    }
  }
}

// ---- one block of keys

// Scores to weights for one vector: mask, running maximum, rescaling of what was summed before.
INLINE void softmax_block(tile_memory *t, uint32_t *p, const shape *s, int v, int64_t j0, int n, int masked) {
  float *score = t->s + v * LANES;
  const vf before = v_load(t->m + v * LANES);
  vf most[2] = {before, before};
  if (masked) {
    const vu first = u_load(t->first + v * LANES), last = u_load(t->last + v * LANES);
    for (int j = 0; j < n; j++) {
      const vf x = v_within(v_load(score + j * TILE_COLS), (int)(j0 + j), first, last, NEVER);
      v_store(score + j * TILE_COLS, x);
      most[0] = v_max(most[0], x);
    }
  } else {
    for (int j = 0; j < n; j += 2) UNROLL
    for (int u = 0; u < 2; u++) most[u] = v_max(most[u], v_load(score + (j + u) * TILE_COLS));
  }
  const vf m = v_max(most[0], most[1]);
  vf l = v_load(t->l + v * LANES);
  if (v_any_greater(m, before)) {
    const vf factor = v_exp2(v_sub(before, m));
    l = v_mul(l, factor);
    v_store(t->m + v * LANES, m);
    if (s->values && j0 > 0)
      for (int64_t d = 0; d < s->padded_dim; d++) {
        float *o = t->o + (d * TILE_VECS + v) * LANES;
        v_store(o, v_mul(v_load(o), factor));
      }
  }
  vf sum[2] = {v_zero(), v_zero()};
  for (int j = 0; j < n; j += 2) {
    vf w[2];
    UNROLL
    for (int u = 0; u < 2; u++) {
      w[u] = v_exp2(v_sub(v_load(score + (j + u) * TILE_COLS), m));
      sum[u] = v_add(sum[u], w[u]);
    }
    for (int u = 0; u < 2; u += UNIT_K) u_store(p + ((j + u) / UNIT_K * TILE_VECS + v) * LANES, u_pair(w + u));
  }
  v_store(t->l + v * LANES, v_add(l, v_add(sum[0], sum[1])));
}

static void attend_block(tile_memory *t, const uint32_t *k, const uint32_t *v, const shape *s, int64_t block,
                         int64_t least_last, int64_t most_last, int64_t most_first) {
  const int64_t j0 = block * KEYS, units = s->padded_dim / UNIT_K;
  const int step = TILE_ROWS > UNIT_K * TILE_STEP ? TILE_ROWS : UNIT_K * TILE_STEP;
  const int n = (int)pkv_round_up(pkv_min(KEYS, most_last + 1 - j0), step);
  uint32_t *p = s->sums ? t->p + block * KEY_UNITS * TILE_COLS : t->p;
  for (int j = 0; j < n; j += TILE_ROWS)
    tile_product(t->s + j * TILE_COLS, k + (j0 + j) * units, units, t->q, (int)units, 0);
  if (s->softcap > 0) soft_cap_all(t->s, n * TILE_COLS, s->softcap);
  const int masked = j0 + n - 1 > least_last || j0 < most_first;
  for (int x = 0; x < TILE_VECS; x++) softmax_block(t, p, s, x, j0, n, masked);
  if (s->sums) {
    memcpy(t->block_m + block * TILE_COLS, t->m, TILE_COLS * 4);
    memset(p + n / UNIT_K * TILE_COLS, 0, (size_t)(KEYS - n) / UNIT_K * TILE_COLS * 4);
  }
  if (!s->values) return;
  v += block * s->padded_dim * KEY_UNITS;
  for (int64_t d = 0; d < s->padded_dim; d += TILE_ROWS)
    tile_product(t->o + d * TILE_COLS, v + d * KEY_UNITS, KEY_UNITS, p, n / UNIT_K, 1);
}

// ---- results of a tile

static void store_values(const tile_memory *t, char *dst, const size_t *nb, const shape *s, int64_t first) {
  for (int v = 0; v < TILE_VECS && first + v < s->vectors; v++) {
    const int64_t query = query_of(first + v, s), head = (first + v) % s->group;
    const vf scale = v_div(v_set1(1), v_load(t->l + v * LANES));
    for (int64_t d = 0; d < s->dim; d += LANES) {
      vu r[LANES];
      for (int i = 0; i < LANES; i++) r[i] = u_from_vf(v_mul(scale, v_load(t->o + ((d + i) * TILE_VECS + v) * LANES)));
      u_transpose(r);
      for (int i = 0; i < pkv_min(LANES, s->nq - query); i++)
        u_store(dst + (query + i) * nb[2] + head * nb[1] + d * 4, r[i]);
    }
  }
}

INLINE vf receive(vf a, vf b, const shape *s) { return s->peaks ? v_max(a, b) : v_add(a, b); }

// What LANES keys from `j0` on received of a vector's queries, its weights `p` times `w`; of those alone that lie in
// [from, to] for their query, where `near` says that not all do.
INLINE vf received(const uint32_t *p, vf w, int j0, int near, vu from, vu to, const shape *s) {
  vu r[LANES];
  for (int i = 0; i < LANES; i += UNIT_K) {
    vf pair[UNIT_K];
    u_unpair(u_load(p + i / UNIT_K * TILE_COLS), pair);
    UNROLL
    for (int u = 0; u < UNIT_K; u++) {
      vf x = v_mul(pair[u], w);
      if (near) x = v_within(x, j0 + i + u, from, to, 0);
      r[i + u] = u_from_vf(x);
    }
  }
  u_transpose(r);
  vf total = vf_from_u(r[0]);
  UNROLL
  for (int i = 1; i < LANES; i++) total = receive(total, vf_from_u(r[i]), s);
  return total;
}

// Adds (or, for peaks, keeps the largest of) what each key received of a tile's queries to sums [kinds][group][keys].
static void add_sums(const tile_memory *t, float *sums, const shape *s, int64_t first, int64_t first_block,
                     int64_t blocks, int64_t least_last) {
  const int64_t stride = s->blocks * KEYS;
  for (int v = 0; v < TILE_VECS && first + v < s->vectors; v++) {
    const int64_t n = pkv_min(LANES, s->nq - query_of(first + v, s));
    float real[LANES];
    int32_t none[LANES] = {0}, far[PKV_SUMS][LANES];
    for (int i = 0; i < LANES; i++) {
      real[i] = i < n ? 1.f : 0.f;
      for (int c = 0; c < s->sums; c++) far[c][i] = t->last[v * LANES + i] - s->distance[c];
    }
    const vf scale = v_div(v_load(real), v_load(t->l + v * LANES)), m = v_load(t->m + v * LANES);
    const vu from = u_load(none);
    for (int64_t b = first_block; b < blocks; b++) {
      const vf w = v_mul(scale, v_exp2(v_sub(v_load(t->block_m + b * TILE_COLS + v * LANES), m)));
      for (int j = 0; j < KEYS; j += LANES) {
        const uint32_t *p = t->p + (b * KEY_UNITS + j / UNIT_K) * TILE_COLS + v * LANES;
        const int j0 = (int)(b * KEYS) + j;
        vf got = v_zero();
        int near = 1;
        for (int c = 0; c < s->sums; c++) {
          // Far from all queries, all kinds receive the same.
          const int before = near;
          near = j0 + LANES - 1 > least_last - s->distance[c];
          if (near || before) got = received(p, w, j0, near, from, u_load(far[c]), s);
          float *out = sums + (c * s->group + (first + v) % s->group) * stride + j0;
          v_store(out, receive(v_load(out), got, s));
        }
      }
    }
  }
}

// ---- the operation

typedef struct {
  const pkv_tensor *q, *k, *v, *sums[PKV_SUMS];
  pkv_tensor *dst;
  const shape *s;
  const layout *at;
  const float *sinks; // [nHead], or none
  float scale;        // of queries
} job;

// The keys that a tile's queries see.
typedef struct {
  int64_t first; // vector
  int64_t least_last, most_last, most_first;
  int64_t first_block, blocks;
} tile_extent;

// The softmax before its first key: nothing, or the sink alone.
static void begin_softmax(tile_memory *t, const shape *s, int64_t first, const float *sinks) {
  for (int v = 0; v < TILE_VECS; v++) {
    const float m = sinks ? sinks[(first + v) % s->group] * LOG2E : LEAST;
    for (int i = 0; i < LANES; i++) t->m[v * LANES + i] = m, t->l[v * LANES + i] = sinks ? 1 : 0;
  }
}

// `sunk`: whether the sink is in this softmax.
static tile_extent begin_tile(const job *g, int64_t head, int64_t tile, tile_memory *t, int sunk) {
  const shape *s = g->s;
  const size_t *nb = g->q->nb;
  tile_extent e = {.first = tile * TILE_VECS};
  const int64_t final = pkv_min(e.first + TILE_VECS, s->vectors) - 1;
  pack_queries(t, (const char *)g->q->data + head * s->group * nb[2], nb, s, e.first, g->scale);
  memset(t->o, 0, s->padded_dim * TILE_COLS * 4);
  begin_softmax(t, s, e.first, g->sinks && sunk ? g->sinks + head * s->group : 0);
  e.least_last = s->past + query_of(e.first, s);
  e.most_last = s->past + pkv_min(query_of(final, s) + LANES, s->nq) - 1;
  const int64_t least_first = s->window ? pkv_max(0, e.least_last - s->window + 1) : 0;
  e.most_first = s->window ? pkv_max(0, e.most_last - s->window + 1) : 0;
  e.first_block = least_first / KEYS, e.blocks = e.most_last / KEYS + 1;
  return e;
}

static void attend_blocks(const job *g, int64_t head, tile_memory *t, const tile_extent *e, int64_t from, int64_t to) {
  const uint32_t *k = g->at->k[head % 2], *v = g->at->v[head % 2];
  for (int64_t b = from; b < to; b++) attend_block(t, k, v, g->s, b, e->least_last, e->most_last, e->most_first);
}

static void attend_tile(const job *g, int64_t head, int64_t tile, tile_memory *t, float *sums) {
  const shape *s = g->s;
  const tile_extent e = begin_tile(g, head, tile, t, 1);
  attend_blocks(g, head, t, &e, e.first_block, e.blocks);
  if (s->values) store_values(t, (char *)g->dst->data + head * s->group * g->dst->nb[1], g->dst->nb, s, e.first);
  if (s->sums) add_sums(t, sums, s, e.first, e.first_block, e.blocks, e.least_last);
}

static void pack_head(const job *g, int64_t head, int ith, int nth) {
  const shape *s = g->s;
  const int64_t keys = s->blocks * KEYS;
  pack_keys(g->at->k[head % 2], (const char *)g->k->data + head * g->k->nb[2], g->k->nb[1], s, keys * ith / nth,
            keys * (ith + 1) / nth);
  if (!s->values) return;
  for (int64_t b = s->blocks * ith / nth; b < s->blocks * (ith + 1) / nth; b++)
    pack_values(g->at->v[head % 2], (const char *)g->v->data + head * g->v->nb[2], g->v->nb[1], s, b);
}

// Adds sums of keys [from, to), partial [kinds][group][keys], to the tensors of sums.
static void tell_sums(const job *g, const float *partial, int64_t head, int64_t from, int64_t to) {
  const shape *s = g->s;
  for (int c = 0; c < s->sums; c++) {
    const pkv_tensor *sums = g->sums[c];
    for (int64_t h = 0; h < s->group; h++, partial += s->blocks * KEYS) {
      float *out = (float *)((char *)sums->data + (head * s->group + h) * sums->nb[1]);
      for (int64_t j = from; j < to; j++)
        out[j] = !s->peaks ? out[j] + partial[j] : partial[j] > out[j] ? partial[j] : out[j];
    }
  }
}

// A tile's softmax over all keys, from those over each thread's.
static void join_softmax(tile_memory *t, const float *told, int nth) {
  for (int v = 0; v < TILE_COLS; v += LANES) {
    vf m = v_load(told + v), l = v_zero();
    for (int i = 1; i < nth; i++) m = v_max(m, v_load(told + 2 * i * TILE_COLS + v));
    for (int i = 0; i < nth; i++) {
      const float *at = told + 2 * i * TILE_COLS + v;
      l = v_add(l, v_mul(v_load(at + TILE_COLS), v_exp2(v_sub(v_load(at), m))));
    }
    v_store(t->m + v, m);
    v_store(t->l + v, l);
  }
}

// One tile holds all queries of a kv head: the threads share its keys. Each tells the others its softmax, and sums
// what its own keys received.
static void sum_few(const job *g, tile_memory *t, float *mine, pkv_sync *sync, int ith, int nth) {
  const shape *s = g->s;
  for (int64_t head = 0; head < g->k->ne[2]; head++) {
    const tile_extent e = begin_tile(g, head, 0, t, ith == 0);
    const int64_t n = e.blocks - e.first_block;
    const int64_t from = e.first_block + n * ith / nth, to = e.first_block + n * (ith + 1) / nth;
    const char *keys = (const char *)g->k->data + head * g->k->nb[2];
    // Packed where they are read next: a block stays in the nearest cache.
    for (int64_t b = from; b < to; b++) {
      pack_keys(g->at->k[head % 2], keys, g->k->nb[1], s, b * KEYS, (b + 1) * KEYS);
      attend_blocks(g, head, t, &e, b, b + 1);
    }
    // Two places in turn, so that nobody writes over what another still reads.
    float *told = g->at->told + head % 2 * 2 * nth * TILE_COLS;
    memcpy(told + 2 * ith * TILE_COLS, t->m, TILE_COLS * 4);
    memcpy(told + (2 * ith + 1) * TILE_COLS, t->l, TILE_COLS * 4);
    pkv_barrier(sync, nth);
    join_softmax(t, told, nth);
    for (int64_t row = 0; row < s->sums * s->group && from < to; row++)
      memset(mine + (row * s->blocks + from) * KEYS, 0, (to - from) * KEYS * 4);
    add_sums(t, mine, s, e.first, from, to, e.least_last);
    tell_sums(g, mine, head, from * KEYS, pkv_min(to * KEYS, s->nkv));
  }
}

static void attention(pkv_tensor *dst, int ith, int nth, void *args) {
  pkv_attention_args *a = args;
  const pkv_tensor *q = dst->src[0], *k = dst->src[1];
  const int64_t heads = k->ne[2];
  shape s = {.dim = q->ne[0],
             .padded_dim = padded_dim_of(q->ne[0]),
             .nq = q->ne[1],
             .nkv = k->ne[1],
             .group = q->ne[2] / heads};
  s.past = s.nkv - s.nq;
  s.vectors = (s.nq + LANES - 1) / LANES * s.group;
  s.tiles = (s.vectors + TILE_VECS - 1) / TILE_VECS;
  s.blocks = (s.nkv + KEYS - 1) / KEYS;
  s.values = a->values, s.window = a->window, s.peaks = a->peaks, s.softcap = a->softcap;
  job g = {.q = q,
           .k = k,
           .v = a->values ? dst->src[2] : 0,
           .dst = dst,
           .s = &s,
           .sinks = a->sinks >= 0 ? dst->src[a->sinks]->data : 0,
           .scale = score_scale(a->scale, a->softcap)};
  for (int c = 0; c < PKV_SUMS && a->sums[c] >= 0; c++)
    g.sums[c] = dst->src[a->sums[c]], s.distance[c] = a->distance[c], s.sums = c + 1;

  char *at = a->workspace->data;
  const size_t packed = packed_bytes(s.dim, s.nkv), own = own_bytes(s.dim, s.nkv, s.sums),
               partial = PKV_ALIGN(s.sums * s.group * s.blocks * KEYS * 4);
  layout l;
  for (int i = 0; i < 2; i++)
    l.k[i] = (uint32_t *)(at + 2 * i * packed), l.v[i] = (uint32_t *)(at + (2 * i + 1) * packed);
  l.own = at + 4 * packed + ith * own;
  l.partial = (float *)(at + 4 * packed + nth * own);
  l.told = l.partial + nth * partial / 4;
  float *my_sums = l.partial + ith * partial / 4;
  tile_memory t = tile_memory_at(l.own, &s);
  g.at = &l;

  tile_begin();
  const int few = s.sums && !s.values && s.tiles == 1;
  if (few) sum_few(&g, &t, my_sums, &a->sync, ith, nth);
  // Sums must not depend on which thread was faster, so there each has its fixed share.
  int64_t unit = s.sums ? ith : pkv_take(&a->sync);
  for (int64_t h = 0; h < heads && !few; h++) {
    pack_head(&g, h, ith, nth);
    if (s.sums) memset(my_sums, 0, partial);
    pkv_barrier(&a->sync, nth);
    // The last tiles see the most keys: they come first.
    while (unit < (h + 1) * s.tiles) {
      attend_tile(&g, h, s.tiles - 1 - unit % s.tiles, &t, my_sums);
      unit = s.sums ? unit + nth : pkv_take(&a->sync);
    }
    if (!s.sums) continue;
    pkv_barrier(&a->sync, nth);
    // In the order of the threads, each of them its share of the keys.
    for (int i = 0; i < nth; i++)
      tell_sums(&g, l.partial + i * partial / 4, h, s.nkv * ith / nth, s.nkv * (ith + 1) / nth);
    pkv_barrier(&a->sync, nth);
  }
  tile_end();
  pkv_leave(&a->sync, nth);
}
