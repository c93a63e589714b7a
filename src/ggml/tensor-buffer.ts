import { PyramidKVError } from "../errors.ts";
import { callAsync, type Pointer, viewNative } from "./ffi.ts";
import { native } from "./native.ts";
import { NativeOwner } from "./owner.ts";
import type { TensorType } from "./types.ts";

/** A ggml tensor: the address of its struct. Its shape is stated where it is made, in ggml order. */
export type Tensor = Pointer & { readonly __tensor?: true };

/** Where tensors may live: plain CPU memory, or an extra type that repacks weights (AMX, CPU_REPACK). */
export type BufferType = Pointer & { readonly __bufferType?: true };

export interface TensorSpec {
  readonly type: TensorType;
  /** Sizes in ggml order, 1 to 4 of them. */
  readonly shape: readonly number[];
  readonly name?: string;
}

/** A new tensor in a context, without memory of its own. */
export function newTensor(context: Pointer, spec: TensorSpec): Tensor {
  const { ggml } = native();
  const ne = BigInt64Array.from(spec.shape, BigInt);
  const tensor = ggml.newTensor(context, spec.type.id, ne.length, ne);
  if (spec.name !== undefined) ggml.setName(tensor, spec.name);
  return tensor;
}

/** Several tensors in one backend buffer, allocated together and freed together. */
export class TensorBuffer extends NativeOwner {
  readonly tensors: readonly Tensor[];
  /** Bytes that the backend really allocated. */
  readonly bytes: number;
  readonly #context: Pointer;
  readonly #buffer: Pointer;

  constructor(bufferType: BufferType, specs: readonly TensorSpec[]) {
    super();
    const { ggml } = native();
    this.#context = ggml.init({
      mem_size: ggml.tensorOverhead() * (specs.length + 1),
      mem_buffer: null,
      no_alloc: true,
    });
    this.tensors = specs.map((spec) => newTensor(this.#context, spec));
    const buffer = ggml.allocContextTensors(this.#context, bufferType);
    if (buffer === null) {
      ggml.free(this.#context);
      throw new PyramidKVError("NATIVE", "not enough memory for the tensors of this request");
    }
    this.#buffer = buffer;
    this.bytes = ggml.bufferSize(buffer);
  }

  /** Sets every byte to 0. */
  clear(): void {
    this.assertAlive();
    native().ggml.bufferClear(this.#buffer, 0);
  }

  /** The bytes of tensor `i`, without a copy; valid while this buffer lives, in host memory only. */
  view(i: number): Uint8Array {
    this.assertAlive();
    const { ggml } = native();
    const tensor = this.tensors[i] as Tensor;
    return new Uint8Array(viewNative(ggml.tensorData(tensor), ggml.nbytes(tensor)));
  }

  protected release(): void {
    const { ggml } = native();
    ggml.bufferFree(this.#buffer);
    ggml.free(this.#context);
  }
}

/** Copies host data into a tensor. */
export function writeTensor(tensor: Tensor, data: ArrayBufferView, byteOffset = 0): void {
  native().ggml.tensorSet(tensor, data, byteOffset, data.byteLength);
}

/** Sets bytes of a tensor to 0. */
export function zeroTensor(tensor: Tensor, byteOffset: number, bytes: number): void {
  if (bytes > 0) native().ggml.tensorMemset(tensor, 0, byteOffset, bytes);
}

/** `writeTensor` off the event loop, for large tensors and memory that repacks what is written. */
export async function writeTensorAsync(tensor: Tensor, data: ArrayBufferView): Promise<void> {
  await callAsync(native().ggml.tensorSet, tensor, data, 0, data.byteLength);
}

/** Fills `into` from a tensor's bytes. */
export function readTensor<T extends ArrayBufferView>(tensor: Tensor, into: T, byteOffset = 0): T {
  native().ggml.tensorGet(tensor, into, byteOffset, into.byteLength);
  return into;
}
