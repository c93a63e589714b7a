import { PyramidKVError } from "../../errors.ts";
import { readPointer, type Pointer } from "../ffi.ts";
import { native } from "../native.ts";
import type { TensorType } from "../types.ts";

/** `from_float_ref` in `struct ggml_type_traits` (ggml.h). */
const FROM_FLOAT_OFFSET = 48;

/** ggml's own function that writes a row of floats in a type: `void (const float*, void*, int64_t)`. */
export function fromFloat(type: TensorType): Pointer {
  const address = readPointer(native().ggml.typeTraits(type.id), FROM_FLOAT_OFFSET);
  if (address === null) {
    throw new PyramidKVError("NATIVE", `ggml does not write rows of ${type.name}`);
  }
  return address;
}
