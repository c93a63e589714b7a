import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bind, koffi, type Library, type Pointer } from "../ffi.ts";
import { native } from "../native.ts";
import { declareKernelStructs } from "./structs.ts";

/** The interface of `native/src/ops.h` that these bindings were written for. */
const VERSION = 9;
/** `sizeof(struct ggml_tensor)` plus its object header in the pinned ggml. */
const TENSOR_OVERHEAD = 368;
const F32 = 0;

/** Operations and their random cases in the self-test, in its order. */
export const SELFTEST_OPERATIONS = ["linear", "attention", "decode"] as const;
/** Largest error of one result over the root mean square of all, by the precision of products. */
const SELFTEST_LIMIT = { f32: 1e-3, bf16: 0.3, int8: 0.3 };

/** Precision by the products of one multiply-add. */
const PRECISIONS = { 1: "f32", 2: "bf16", 4: "int8" } as const;

/** One instruction set's kernels. */
export interface KernelVariant {
  readonly name: string;
  readonly handle: Pointer;
  /** Whether this CPU and operating system run it. */
  readonly available: boolean;
  /** Floats of a vector. */
  readonly lanes: number;
  /** Products of a prompt's matmuls: f32, bf16, or of bytes where the weights' type has a scale for each 32; sums are f32. */
  readonly precision: "f32" | "bf16" | "int8";
  /** Addresses of the operations, as `ggml_custom_4d` takes them. */
  readonly operations: Readonly<Record<"linear" | "attention" | "rotate" | "decode", Pointer>>;
  /** Runs the self-test, once. */
  passes(): boolean;
  /** Error of each operation on random ragged shapes; not a number where it failed. */
  errors(): Readonly<Record<(typeof SELFTEST_OPERATIONS)[number], number>>;
}

/** Bounds of the kernels, as they were compiled (`native/src/ops.h`). */
export interface KernelLimits {
  /** Columns that are computed without packing the weights. */
  readonly fewColumns: number;
  /** Keys of a segment that a thread takes at a time in decoding. */
  readonly decodePart: number;
  /** Dimensions of a head. */
  readonly largestHead: number;
  /** Kinds of sums that one attention gathers. */
  readonly sums: number;
}

export interface KernelLibrary {
  readonly functions: ReturnType<typeof bindKernels>;
  /** Best first. */
  readonly variants: readonly KernelVariant[];
  readonly limits: KernelLimits;
  /** Variants that the compiler could not build, in words; empty where there are none. */
  readonly notBuilt: string;
}

let loaded: KernelLibrary | string | undefined;

/** The library that was built when the package was installed, loaded once; or why there is none. */
export function kernelLibrary(): KernelLibrary | string {
  loaded ??= loadKernelLibrary(fileURLToPath(new URL("../../../native/build", import.meta.url)));
  return loaded;
}

/** Loads the library in a folder; a string says why it cannot be used. */
export function loadKernelLibrary(folder: string): KernelLibrary | string {
  const suffix = { darwin: "dylib", win32: "dll" }[process.platform as string] ?? "so";
  const path = join(folder, `pyramidkv-kernels.${suffix}`);
  const whyNot = join(folder, "why-not.txt");
  const notBuilt = existsSync(whyNot) ? readFileSync(whyNot, "utf8").trim() : "";
  if (!existsSync(path)) return notBuilt === "" ? "they were not built" : notBuilt;
  let functions: ReturnType<typeof bindKernels>;
  try {
    functions = bindKernels(koffi.load(path));
  } catch (error) {
    return `${path} does not load: ${(error as Error).message}`;
  }
  if (functions.version() !== VERSION) return `${path} is of another version; reinstall pyramidkv`;
  if (!hasExpectedLayout(functions)) return "this ggml lays out its tensors in another way";
  const { limits, structSizes } = limitsOf(functions);
  const sizes = declareKernelStructs(limits.sums);
  if (sizes.some((size, i) => size !== structSizes[i])) {
    return "this platform lays out the kernels' arguments in another way";
  }
  return { functions, variants: variantsOf(functions), limits, notBuilt };
}

function bindKernels(lib: Library) {
  type P = Pointer;
  return {
    version: bind<[], number>(lib, "int pkv_version()"),
    tensorLayout: bind<[P, BigInt64Array], void>(
      lib,
      "void pkv_tensor_layout(void*,_Out_ int64_t*)",
    ),
    limits: bind<[BigInt64Array], void>(lib, "void pkv_limits(_Out_ int64_t*)"),
    readsType: bind<[number], number>(lib, "int pkv_reads_type(int)"),
    variantAt: bind<[number], P | null>(lib, "void* pkv_isa_at(int)"),
    variantName: bind<[P], string>(lib, "const char* pkv_isa_name(void*)"),
    variantAvailable: bind<[P], number>(lib, "int pkv_isa_available(void*)"),
    variantProducts: bind<[P], number>(lib, "int pkv_isa_products(void*)"),
    variantLanes: bind<[P], number>(lib, "int pkv_isa_lanes(void*)"),
    linear: bind<[P], P>(lib, "void* pkv_isa_linear(void*)"),
    attention: bind<[P], P>(lib, "void* pkv_isa_attention(void*)"),
    rotate: bind<[P], P>(lib, "void* pkv_isa_rotate(void*)"),
    decode: bind<[P], P>(lib, "void* pkv_isa_decode(void*)"),
    linearPacks: bind<[P, number], number>(lib, "int pkv_isa_packs(void*,int)"),
    selftest: bind<[P, number], number>(lib, "double pkv_selftest(void*,int)"),
    linearWorkspace: bind<[P, number, number, number, number, number, number], number>(
      lib,
      "size_t pkv_linear_workspace(void*,int64_t,int64_t,int,int,int,int)",
    ),
    attentionWorkspace: bind<[P, number, number, number, number, number], number>(
      lib,
      "size_t pkv_attention_workspace(void*,int64_t,int64_t,int,int,int)",
    ),
    decodeWorkspace: bind<[P, number, number, number, number], number>(
      lib,
      "size_t pkv_decode_workspace(void*,int64_t,int64_t,int,int)",
    ),
  };
}

function limitsOf(functions: ReturnType<typeof bindKernels>) {
  const out = new BigInt64Array(9);
  functions.limits(out);
  const [fewColumns, decodePart, largestHead, sums, ...structSizes] = Array.from(out, Number);
  return { limits: { fewColumns, decodePart, largestHead, sums } as KernelLimits, structSizes };
}

/** Compares a live tensor with what the kernels see in it: they read ggml's struct directly. */
function hasExpectedLayout(functions: ReturnType<typeof bindKernels>): boolean {
  const { ggml } = native();
  if (ggml.tensorOverhead() !== TENSOR_OVERHEAD) return false;
  const context = ggml.init({ mem_size: 4096, mem_buffer: null, no_alloc: false });
  try {
    const tensor = ggml.newTensor(context, F32, 4, BigInt64Array.of(5n, 3n, 2n, 7n));
    const fields = new BigInt64Array(10);
    functions.tensorLayout(tensor, fields);
    const expected = [0n, 5n, 3n, 2n, 7n, 4n, 20n, 60n, 120n, ggml.tensorData(tensor)];
    return expected.every((value, i) => fields[i] === value);
  } finally {
    ggml.free(context);
  }
}

function variantsOf(functions: ReturnType<typeof bindKernels>): KernelVariant[] {
  const variants: KernelVariant[] = [];
  for (let i = 0; ; i++) {
    const handle = functions.variantAt(i);
    if (handle === null) return variants;
    const precision = PRECISIONS[functions.variantProducts(handle) as keyof typeof PRECISIONS];
    let errors: ReturnType<KernelVariant["errors"]> | undefined;
    const variant: KernelVariant = {
      name: functions.variantName(handle),
      handle,
      available: functions.variantAvailable(handle) !== 0,
      lanes: functions.variantLanes(handle),
      precision,
      operations: {
        linear: functions.linear(handle),
        attention: functions.attention(handle),
        rotate: functions.rotate(handle),
        decode: functions.decode(handle),
      },
      errors: () => (errors ??= selftest(functions, handle)),
      passes: () =>
        Object.values(variant.errors()).every((error) => error < SELFTEST_LIMIT[precision]),
    };
    variants.push(variant);
  }
}

function selftest(
  functions: ReturnType<typeof bindKernels>,
  handle: Pointer,
): ReturnType<KernelVariant["errors"]> {
  const [linear, attention, decode] = SELFTEST_OPERATIONS.map((_, i) =>
    functions.selftest(handle, i),
  ) as [number, number, number];
  return { linear, attention, decode };
}
