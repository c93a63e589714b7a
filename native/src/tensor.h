// The parts of ggml's public structs that the kernels read (ggml.h of 0.25). The layout is checked
// against a live tensor when the library is loaded: see pkv_tensor_layout.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct pkv_tensor {
  int32_t type;
  void *buffer;
  int64_t ne[4];
  size_t nb[4];
  int32_t op;
  int32_t op_params[16];
  int32_t flags;
  struct pkv_tensor *src[10];
  struct pkv_tensor *view_src;
  size_t view_offs;
  void *data;
  char name[64];
  void *extra;
  char padding[8];
} pkv_tensor;

// enum ggml_type
enum { T_F32 = 0, T_F16 = 1, T_Q4_0 = 2, T_Q4_1 = 3, T_Q8_0 = 8, T_Q4_K = 12, T_Q6_K = 14, T_BF16 = 30 };

// Weight types that the kernels read: one line a type, from which the loops over weights are made (weights.h).
#define WEIGHT_TYPES(X)                                                                                                \
  X(T_F32, read_f32)                                                                                                   \
  X(T_F16, read_f16)                                                                                                   \
  X(T_BF16, read_bf16) X(T_Q8_0, read_q8_0) X(T_Q4_0, read_q4_0) X(T_Q4_1, read_q4_1) X(T_Q4_K, read_q4_K)             \
      X(T_Q6_K, read_q6_K)
