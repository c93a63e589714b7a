// What the library offers to its caller: the instruction sets, best first, and the layout that it was built for.
#include "ops.h"

// Those that the compiler could build (native/build.mjs), best first.
#ifdef PKV_HAS_AMX
extern const pkv_isa pkv_isa_amx;
#endif
#ifdef PKV_HAS_AVX512VNNIBF16
extern const pkv_isa pkv_isa_avx512vnnibf16;
#endif
#ifdef PKV_HAS_AVX512VNNI
extern const pkv_isa pkv_isa_avx512vnni;
#endif
#ifdef PKV_HAS_AVX512BF16
extern const pkv_isa pkv_isa_avx512bf16;
#endif
#ifdef PKV_HAS_AVX512
extern const pkv_isa pkv_isa_avx512;
#endif
#ifdef PKV_HAS_AVX2
extern const pkv_isa pkv_isa_avx2;
#endif
#ifdef PKV_HAS_NEON
extern const pkv_isa pkv_isa_neon;
#endif
const pkv_isa *const pkv_isas[] = {
#ifdef PKV_HAS_AMX
    &pkv_isa_amx,
#endif
#ifdef PKV_HAS_AVX512VNNIBF16
    &pkv_isa_avx512vnnibf16,
#endif
#ifdef PKV_HAS_AVX512VNNI
    &pkv_isa_avx512vnni,
#endif
#ifdef PKV_HAS_AVX512BF16
    &pkv_isa_avx512bf16,
#endif
#ifdef PKV_HAS_AVX512
    &pkv_isa_avx512,
#endif
#ifdef PKV_HAS_AVX2
    &pkv_isa_avx2,
#endif
#ifdef PKV_HAS_NEON
    &pkv_isa_neon,
#endif
    0};

PKV_EXPORT int pkv_version(void) { return PKV_VERSION; }

// The fields of a live tensor as this library sees them: type, ne[0 .. 3], nb[0 .. 3], data.
PKV_EXPORT void pkv_tensor_layout(const pkv_tensor *t, int64_t out[10]) {
  out[0] = t->type;
  for (int i = 0; i < 4; i++) {
    out[1 + i] = t->ne[i];
    out[5 + i] = (int64_t)t->nb[i];
  }
  out[9] = (int64_t)(intptr_t)t->data;
}

// What the caller must know as we do: bounds, and the sizes of the structs that it fills.
PKV_EXPORT void pkv_limits(int64_t out[9]) {
  const int64_t limits[] = {FEW_COLUMNS,
                            DECODE_PART,
                            LARGEST_HEAD,
                            PKV_SUMS,
                            sizeof(pkv_workspace),
                            sizeof(pkv_linear_args),
                            sizeof(pkv_attention_args),
                            sizeof(pkv_rotate_args),
                            sizeof(pkv_decode_args)};
  for (int i = 0; i < 9; i++) out[i] = limits[i];
}

PKV_EXPORT int pkv_reads_type(int type) {
#define CASE(t, read)                                                                                                  \
  if (type == t) return 1;
  WEIGHT_TYPES(CASE)
  return 0;
}

PKV_EXPORT const pkv_isa *pkv_isa_at(int i) { return pkv_isas[i]; }
PKV_EXPORT const char *pkv_isa_name(const pkv_isa *isa) { return isa->name; }
PKV_EXPORT int pkv_isa_available(const pkv_isa *isa) { return isa->available(); }
PKV_EXPORT int pkv_isa_lanes(const pkv_isa *isa) { return isa->lanes; }
PKV_EXPORT int pkv_isa_products(const pkv_isa *isa) { return isa->products; }
PKV_EXPORT int pkv_isa_packs(const pkv_isa *isa, int type) { return isa->linear_packs(type); }
PKV_EXPORT void *pkv_isa_linear(const pkv_isa *isa) { return (void *)isa->linear; }
PKV_EXPORT void *pkv_isa_attention(const pkv_isa *isa) { return (void *)isa->attention; }
PKV_EXPORT void *pkv_isa_rotate(const pkv_isa *isa) { return (void *)isa->rotate; }
PKV_EXPORT void *pkv_isa_decode(const pkv_isa *isa) { return (void *)isa->decode; }

PKV_EXPORT size_t pkv_linear_workspace(const pkv_isa *isa, int64_t k, int64_t n, int decode, int gated, int packs,
                                       int nth) {
  return isa->linear_workspace(k, n, decode, gated, packs, nth);
}
PKV_EXPORT size_t pkv_attention_workspace(const pkv_isa *isa, int64_t dim, int64_t nkv, int sums, int group, int nth) {
  return isa->attention_workspace(dim, nkv, sums, group, nth);
}
PKV_EXPORT size_t pkv_decode_workspace(const pkv_isa *isa, int64_t dim, int64_t parts, int group, int nth) {
  return isa->decode_workspace(dim, parts, group, nth);
}
