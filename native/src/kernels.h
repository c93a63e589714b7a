// All operations of one instruction set: its vectors and tiles are defined before this is included.
#include "attention.h"
#include "decode.h"
#include "linear.h"
#include "rotate.h"

#ifdef BYTE_TILES
#define PRODUCTS 4
#else
#define PRODUCTS UNIT_K
#endif

#define PKV_ISA(isa, is_available)                                                                                     \
  const pkv_isa pkv_isa_##isa = {#isa,                                                                                 \
                                 is_available,                                                                         \
                                 LANES,                                                                                \
                                 PRODUCTS,                                                                             \
                                 linear,                                                                               \
                                 attention,                                                                            \
                                 rotate,                                                                               \
                                 decode,                                                                               \
                                 linear_packs,                                                                         \
                                 linear_workspace,                                                                     \
                                 attention_workspace,                                                                  \
                                 decode_workspace};
