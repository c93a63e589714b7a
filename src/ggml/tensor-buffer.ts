import { PyramidKVError } from "../errors.ts";
import { callAsync, readPointer, type Pointer, viewNative } from "./ffi.ts";
import type { MappedFile } from "./mapped-file.ts";
import { native } from "./native.ts";
import { NativeOwner } from "./owner.ts";
import { typeById, type TensorType } from "./types.ts";

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

/** `struct ggml_tensor` (ggml.h): `type`, `buffer`, `ne[4]`, `nb[4]`, …, `view_src` */
export const TENSOR_OFFSETS = { type: 0, buffer: 8, shape: 16, strides: 48, source: 232 } as const;

/** A tensor's four sizes, in ggml order. */
export function tensorShape(tensor: Tensor): number[] {
  const bytes = viewNative((tensor + BigInt(TENSOR_OFFSETS.shape)) as Pointer, 32);
  return Array.from(new BigInt64Array(bytes), Number);
}

/** A tensor's four strides in bytes. */
export function tensorStrides(tensor: Tensor): number[] {
  const bytes = viewNative((tensor + BigInt(TENSOR_OFFSETS.strides)) as Pointer, 32);
  return Array.from(new BigInt64Array(bytes), Number);
}

/** A tensor's type, if it is one that we know. */
export function tensorType(tensor: Tensor): TensorType | undefined {
  return typeById(new Int32Array(viewNative(tensor, 4))[0] as number);
}

/** The buffer that a tensor's data, or those that it is a view of, lie in; none where it has no memory yet. */
function bufferOf(tensor: Tensor): Pointer | null {
  const source = readPointer(tensor, TENSOR_OFFSETS.source) ?? tensor;
  return readPointer(source, TENSOR_OFFSETS.buffer);
}

/** Whether a tensor has memory: an input that no operation of a graph uses gets none. */
function hasMemory(tensor: Tensor): boolean {
  return bufferOf(tensor) !== null;
}

/** Whether the data lie in plain memory, as the file has them: not so where a buffer type repacks them. */
export function isInHostMemory(tensor: Tensor): boolean {
  const buffer = bufferOf(tensor);
  return buffer !== null && native().ggml.bufferIsHost(buffer);
}

/**
 * Where a tensor's data lie, for kernels that run on the host.
 *
 * @throws where they are in no memory of the host
 */
export function hostAddress(tensor: Tensor): number {
  if (!isInHostMemory(tensor)) throw new Error("these tensors are in no memory of the host");
  return Number(native().ggml.tensorData(tensor));
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
    this.#context = newContext(specs.length);
    this.tensors = specs.map((spec) => newTensor(this.#context, spec));
    const buffer = ggml.allocContextTensors(this.#context, bufferType);
    if (buffer === null) {
      ggml.free(this.#context);
      throw new PyramidKVError("NATIVE", "not enough memory for the tensors of this request");
    }
    this.#buffer = buffer;
    this.bytes = ggml.bufferSize(buffer);
  }

  /**
   * The bytes of tensor `i`, without a copy; valid while this buffer lives.
   *
   * @throws where they are in no memory of the host
   */
  view(i: number): Uint8Array {
    this.assertAlive();
    const tensor = this.tensors[i] as Tensor;
    const address = BigInt(hostAddress(tensor)) as Pointer;
    return new Uint8Array(viewNative(address, native().ggml.nbytes(tensor)));
  }

  protected release(): void {
    const { ggml } = native();
    ggml.bufferFree(this.#buffer);
    ggml.free(this.#context);
  }
}

/** Tensors whose data already lies in mapped memory: nothing is copied, nothing allocated. */
export class MappedTensors extends NativeOwner {
  readonly tensors: readonly Tensor[];
  readonly bytes: number;
  readonly #context: Pointer;
  readonly #buffer: Pointer;
  readonly #file: MappedFile;

  /** Takes over `file`, which is unmapped with the tensors. `offsets` are byte offsets in it. */
  constructor(
    file: MappedFile,
    fileSize: number,
    specs: readonly TensorSpec[],
    offsets: readonly number[],
  ) {
    super();
    const { ggml } = native();
    this.#file = file;
    this.#context = newContext(specs.length);
    this.#buffer = ggml.bufferFromPointer(file.address, fileSize);
    this.tensors = specs.map((spec, i) => {
      const tensor = newTensor(this.#context, spec);
      const address = (file.address + BigInt(offsets[i] as number)) as Pointer;
      ggml.tensorAlloc(this.#buffer, tensor, address);
      return tensor;
    });
    this.bytes = this.tensors.reduce((sum, tensor) => sum + ggml.nbytes(tensor), 0);
  }

  protected release(): void {
    const { ggml } = native();
    ggml.bufferFree(this.#buffer);
    ggml.free(this.#context);
    this.#file[Symbol.dispose]();
  }
}

/** A context for `nTensors` tensors, without memory for their data. */
function newContext(nTensors: number): Pointer {
  const { ggml } = native();
  return ggml.init({
    mem_size: ggml.tensorOverhead() * (nTensors + 1),
    mem_buffer: null,
    no_alloc: true,
  });
}

/** Copies host data into a tensor. */
export function writeTensor(tensor: Tensor, data: ArrayBufferView, byteOffset = 0): void {
  native().ggml.tensorSet(tensor, data, byteOffset, data.byteLength);
}

/** Copies host data into an input of a graph, if anything there uses it. */
export function writeInput(tensor: Tensor, data: ArrayBufferView): void {
  if (hasMemory(tensor)) writeTensor(tensor, data);
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
