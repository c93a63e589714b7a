import { NativeOwner } from "../owner.ts";
import { TensorBuffer, type BufferType, type Tensor } from "../tensor-buffer.ts";
import { native } from "../native.ts";
import { TYPES } from "../types.ts";
import { allocateStruct, freeStruct, writeStruct } from "./structs.ts";
import type { Pointer } from "../ffi.ts";

/**
 * Memory that the kernels pack weights, keys and values into. Operations run one after the other, so
 * one workspace serves them all; it is as large as the largest has asked for.
 */
export class Workspace extends NativeOwner {
  /** Address of the struct that the operations' arguments point to; it outlives a move of the memory. */
  readonly address: Pointer;
  readonly #bufferType: BufferType;
  #memory: TensorBuffer | undefined;

  constructor(bufferType: BufferType) {
    super();
    this.#bufferType = bufferType;
    this.address = allocateStruct("pkv_workspace", { data: null, size: 0 });
  }

  get bytes(): number {
    return this.#memory?.bytes ?? 0;
  }

  /** Makes it at least so large; called while no graph runs. */
  prepare(bytes: number): void {
    this.assertAlive();
    if (this.bytes >= bytes) return;
    // More than is needed now: what decoding takes grows with its caches, a little at a time.
    const room = Math.max(bytes, 1.5 * this.bytes);
    this.#memory?.[Symbol.dispose]();
    this.#memory = undefined;
    writeStruct(this.address, "pkv_workspace", { data: null, size: 0 });
    const memory = new TensorBuffer(this.#bufferType, [
      { type: TYPES.f32, shape: [Math.ceil(room / 4)], name: "workspace" },
    ]);
    this.#memory = memory;
    const data = native().ggml.tensorData(memory.tensors[0] as Tensor);
    writeStruct(this.address, "pkv_workspace", { data, size: memory.bytes });
  }

  protected release(): void {
    this.#memory?.[Symbol.dispose]();
    freeStruct(this.address);
  }
}
