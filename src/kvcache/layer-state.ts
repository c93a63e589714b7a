import type { Device } from "../ggml/device.ts";
import { NativeOwner } from "../ggml/owner.ts";
import {
  readTensor,
  writeTensor,
  zeroTensor,
  type Tensor,
  type TensorBuffer,
} from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { StateShapes } from "../models/layer-shape.ts";

/** Bytes of a state. */
export function stateBytes(shapes: StateShapes = []): number {
  return shapes.reduce((sum, shape) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
}

/** What a recurrent layer remembers of a sequence: of one size, however long the sequence is. Before the first token it is 0. */
export class LayerState extends NativeOwner {
  readonly #buffer: TensorBuffer;
  /** Brings its numbers back from where they are worked on. */
  #bringBack: (() => void) | undefined;

  constructor(
    /** The device in whose memory it lies. */
    readonly device: Device,
    private readonly shapes: StateShapes,
  ) {
    super();
    this.#buffer = device.allocate(shapes.map((shape) => ({ type: TYPES.f32, shape })));
    this.tensors.forEach((tensor, i) => zeroTensor(tensor, 0, stateBytes([shapes[i] ?? []])));
  }

  /** Its numbers are elsewhere from now on, until somebody asks for them. */
  lend(bringBack: () => void): void {
    this.#bringBack = bringBack;
  }

  #beHere(): void {
    this.assertAlive();
    const bringBack = this.#bringBack;
    this.#bringBack = undefined;
    bringBack?.();
  }

  /** f32, of the state's shapes */
  get tensors(): readonly Tensor[] {
    this.#beHere();
    return this.#buffer.tensors;
  }

  /** The bytes of tensor `i`, without a copy; throws where they are in no memory of the host. */
  view(i: number): Uint8Array {
    this.#beHere();
    return this.#buffer.view(i);
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#buffer.bytes;
  }

  /** The same in memory of its own. */
  copy(): LayerState {
    const copy = new LayerState(this.device, this.shapes);
    for (const [i, values] of this.read().entries()) writeTensor(copy.tensors[i] as Tensor, values);
    return copy;
  }

  /** Its numbers, tensor by tensor. */
  read(): Float32Array[] {
    return this.tensors.map((tensor, i) =>
      readTensor(tensor, new Float32Array(stateBytes([this.shapes[i] ?? []]) / 4)),
    );
  }

  protected release(): void {
    this.#buffer[Symbol.dispose]();
  }
}
