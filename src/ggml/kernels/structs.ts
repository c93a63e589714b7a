import { koffi, type Pointer } from "../ffi.ts";

/** Counters that the threads of one operation share (`native/src/sync.h`), 0 before the first run. */
const IDLE = { arrived: 0, next: 0, left: 0, unused: 0 };

/**
 * Declares the argument structs of `native/src/ops.h`.
 *
 * @param sums kinds of sums that one attention gathers
 * @returns the size of each struct that callers fill, in bytes
 */
export function declareKernelStructs(sums: number): number[] {
  koffi.struct("pkv_sync", { arrived: "uint32", next: "uint32", left: "uint32", unused: "uint32" });
  koffi.struct("pkv_workspace", { data: "void*", size: "size_t" });
  koffi.struct("pkv_linear_args", {
    sync: "pkv_sync",
    workspace: "void*",
    columns: "void*",
    n_weights: "int32",
    gated: "int32",
    norm: "int32",
    epsilon: "float",
    residual: "int32",
    bias: koffi.array("int32", 3),
  });
  koffi.struct("pkv_attention_args", {
    sync: "pkv_sync",
    workspace: "void*",
    scale: "float",
    softcap: "float",
    sinks: "int32",
    window: "int32",
    values: "int32",
    sums: koffi.array("int32", sums),
    distance: koffi.array("int32", sums),
    peaks: "int32",
  });
  koffi.struct("pkv_rotate_args", {
    n_head: "int32",
    n_head_kv: "int32",
    neox: "int32",
    rope_dims: "int32",
  });
  koffi.struct("pkv_decode_args", {
    sync: "pkv_sync",
    workspace: "void*",
    shape: "pkv_rotate_args",
    scale: "float",
    softcap: "float",
    sinks: "int32",
    columns: "void*",
  });
  return KERNEL_STRUCTS.map((name) => koffi.sizeof(name));
}

/** Structs that callers fill, in the order of `pkv_limits`. */
const KERNEL_STRUCTS = [
  "pkv_workspace",
  "pkv_linear_args",
  "pkv_attention_args",
  "pkv_rotate_args",
  "pkv_decode_args",
] as const;

export type KernelStruct = (typeof KERNEL_STRUCTS)[number];

/** A struct in native memory; the caller frees it with `freeStruct`. */
export function allocateStruct(type: KernelStruct, value: object): Pointer {
  const address = koffi.alloc(type, 1) as Pointer;
  writeStruct(address, type, value);
  return address;
}

export function writeStruct(address: Pointer, type: KernelStruct, value: object): void {
  koffi.encode(address, type, { sync: IDLE, ...value });
}

export function freeStruct(address: Pointer): void {
  koffi.free(address);
}
