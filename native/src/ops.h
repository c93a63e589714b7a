// The operations, as ggml calls them (ggml_custom_4d): fn(dst, thread, threads, args). Each instruction set
// has one of each, made from the same skeletons. Arguments and workspace belong to the caller; the kernels
// allocate nothing and cannot fail: what they cannot do is refused before a graph is built
// (src/ggml/kernels/kernels.ts).
#pragma once
#include "sync.h"
#include "tensor.h"

#define PKV_EXPORT __attribute__((visibility("default")))
#define PKV_VERSION 9

#define PKV_SUMS 2 // kinds of sums that one attention gathers

// One workspace serves all operations of a graph, which run one after the other.
typedef struct {
  char *data;
  size_t size;
} pkv_workspace;

// dst f32 [sum of rows, n] = W x (+ bias) (+ residual): x is src[0], f32 [K, n].
typedef struct {
  pkv_sync sync;
  pkv_workspace *workspace;
  // Of a decode step: so many columns are there, and what one of them gives does not depend on the others. 0: all are,
  // and how they are multiplied depends on how many they are.
  const int32_t *columns;
  int32_t n_weights; // src[1 ..]: [K, M], their results one under the other
  int32_t gated;     // two weights, gate and up: dst [M, n] = silu(gate x) * (up x)
  int32_t norm;      // index of the source that x is RMS-normed with, f32 [K]; -1: none
  float epsilon;
  int32_t residual; // index of the source that is added, f32 like dst; -1: none
  int32_t bias[3];  // index of each weight's bias, f32 [M]; -1: none
} pkv_linear_args;

// q f32 [headDim, nq, nHead], k and v f16 [headDim, nkv, nHeadKv]; query i sees the keys up to nkv - nq + i.
typedef struct {
  pkv_sync sync;
  pkv_workspace *workspace;
  float scale;
  float softcap;              // logits x become softcap * tanh(x / softcap); 0: as they are
  int32_t sinks;              // index of a source f32 [nHead], a logit that takes weight and gives nothing; -1: none
  int32_t window;             // keys that a query sees, itself included; 0: all
  int32_t values;             // 1: src[2] is v and dst f32 [headDim, nHead, nq]; 0: only sums
  int32_t sums[PKV_SUMS];     // index of a source f32 [nkv, nHead] that attention received is added to; -1: none
  int32_t distance[PKV_SUMS]; // ... by queries at least so far away
  int32_t peaks;              // 1: the largest is kept instead of the sum
} pkv_attention_args;

// dst f32 [headDim, nHead, n]: the queries of qkv f32 [headDim * (nHead + 2 nHeadKv), n] (src[0]), rotated by
// src[1] f32 [headDim, >= n]: ggml's own rotation of (1, 0) pairs. Keys and values go to src[2] and src[3],
// f16 [headDim, n, nHeadKv], keys rotated.
typedef struct {
  int32_t n_head, n_head_kv, neox; // neox: pairs half a head apart, else side by side
  int32_t rope_dims;
} pkv_rotate_args;

typedef void (*pkv_from_float)(const float *, void *, int64_t);

// A stretch of a kv head's rows: `length` tokens' keys and values, wherever they lie.
typedef struct {
  char *k, *v; // k is 0 where there is no segment
  int64_t length;
} pkv_segment;

// A column of a decode step: how its sequence's cache holds rows.
typedef struct {
  int64_t type;
  pkv_from_float from_float; // of that type; 0 for f16
  int64_t hadamard; // rows are Hadamard transforms of so many values each, a power of two; 0: plain rows
  float *query;   // where its queries go before rotation, [headDim * nHead]; 0: nowhere
} pkv_column;

// A token of each of some sequences, each against its own cache, which is ragged per kv head. src: qkv f32
// [headDim * (nHead + 2 nHeadKv), n], rotation f32 [headDim, n], segments i64 [3, s, nHeadKv * n], of which a head's last
// one has room behind its tokens, columns i64 [4, n]. Appends each token's key and value there; dst f32
// [headDim * nHead, n].
typedef struct {
  pkv_sync sync;
  pkv_workspace *workspace;
  pkv_rotate_args shape;
  float scale;
  float softcap;          // as in attention
  int32_t sinks;          // as in attention
  const int32_t *columns; // so many are there
} pkv_decode_args;

#define LARGEST_HEAD 512 // that is rotated, attended to and decoded
#define DECODE_PART 64   // keys of a segment that a thread takes at a time
#define FEW_COLUMNS 7 // beyond this, packing a panel costs less than unpacking the weights for each column
// From this many columns on, a value of a column is one byte; below, it is two, which is finer than bf16.
#define COARSE_COLUMNS 128
#define COLUMN_STEPS 16256 // of two bytes: 127 * 128, the high one is signed, the low one within -64 .. 63
#define PACK_UNITS 1
#define PACK_BYTES 2

typedef void (*pkv_op)(pkv_tensor *dst, int ith, int nth, void *args);

typedef struct {
  const char *name;
  int (*available)(void);
  int lanes;
  int products; // of one multiply-add in matmuls: 1 of f32, 2 of bf16, 4 of bytes
  pkv_op linear, attention, rotate, decode;
  int (*linear_packs)(int type); // how a weight of this type wants many columns packed
  // Bytes of workspace. packs: of all weights.
  size_t (*linear_workspace)(int64_t k, int64_t n, int decode, int gated, int packs, int nth);
  size_t (*attention_workspace)(int64_t head_dim, int64_t nkv, int sums, int group, int nth); // sums: kinds of them
  size_t (*decode_workspace)(int64_t head_dim, int64_t parts, int group, int nth);
} pkv_isa;

extern const pkv_isa *const pkv_isas[]; // best first, ends with 0

#define PKV_ALIGN(x) (((size_t)(x) + 63) & ~(size_t)63)
static inline int64_t pkv_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t pkv_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t pkv_round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }
