// All operations of one instruction set: its vectors and tiles are defined before this is included.
#include "attention.h"
#include "decode.h"
#include "linear.h"
#include "rotate.h"

#define PKV_ISA(isa, is_available)                                                                                     \
  const pkv_isa pkv_isa_##isa = {#isa,                                                                                 \
                                 is_available,                                                                         \
                                 LANES,                                                                                \
                                 UNIT_K,                                                                               \
                                 linear,                                                                               \
                                 attention,                                                                            \
                                 rotate,                                                                               \
                                 decode,                                                                               \
                                 linear_workspace,                                                                     \
                                 attention_workspace,                                                                  \
                                 decode_workspace};
