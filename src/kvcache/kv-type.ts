import { PyramidKVError, requireOneOf } from "../errors.ts";
import { TYPES, type TensorType } from "../ggml/types.ts";

/** The types that cached keys and values may have. */
export const KV_TYPES = {
  f16: TYPES.f16,
  q8_0: TYPES.q8_0,
  q4_0: TYPES.q4_0,
} as const satisfies Record<string, TensorType>;

export type KvTypeName = keyof typeof KV_TYPES;

/** The named type; throws where it is unknown or the head size is no multiple of its block. */
export function kvType(name: string, headDim: number): TensorType {
  const known = Object.keys(KV_TYPES) as KvTypeName[];
  const type = KV_TYPES[requireOneOf("KV type", name, known)];
  if (headDim % type.blockSize !== 0) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `KV type ${name} needs heads of a multiple of ${type.blockSize} elements, this model has ${headDim}`,
    );
  }
  return type;
}
