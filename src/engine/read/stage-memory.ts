import type { Device } from "../../ggml/device.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import {
  readTensor,
  writeTensor,
  type Tensor,
  type TensorBuffer,
} from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import { LayerScratch, type ScratchSize } from "../../kvcache/layer-scratch.ts";
import type { MemoryLedger } from "../../kvcache/ledger.ts";
import { MaskCache } from "./mask-cache.ts";

/** Bytes of hidden states that pass the host at a time, from one device to the next. */
const BLOCK_BYTES = 16 * 1024 * 1024;

export interface StageSize extends ScratchSize {
  readonly nEmbd: number;
  /** Tokens whose hidden states are held. */
  readonly n: number;
}

/** What a prefill holds on a device while its layers are read: hidden states, a layer's keys and values, masks. */
export class StageMemory extends NativeOwner {
  #scratch: LayerScratch;
  readonly masks: MaskCache;
  readonly #hidden: TensorBuffer;

  constructor(
    readonly device: Device,
    private readonly size: StageSize,
    private readonly ledgers: readonly MemoryLedger[],
  ) {
    super();
    const { nEmbd, n } = size;
    this.#hidden = device.allocate([{ type: TYPES.f32, shape: [nEmbd, n], name: "hidden" }]);
    this.#scratch = this.#newScratch();
    this.masks = new MaskCache(device);
  }

  get scratch(): LayerScratch {
    return this.#scratch;
  }

  /** Gives the scratch away; the next layer has a new one. */
  takeScratch(): LayerScratch {
    const taken = this.#scratch;
    this.#scratch = this.#newScratch();
    return taken;
  }

  #newScratch(): LayerScratch {
    return new LayerScratch(this.device, this.size, this.ledgers);
  }

  /** Hidden states, f32 [nEmbd, n]: a layer's input, which its output replaces. */
  get x(): Tensor {
    this.assertAlive();
    return this.#hidden.tensors[0] as Tensor;
  }

  /** Takes the hidden states over from another device's memory. */
  takeOver(from: StageMemory): void {
    const bytes = this.size.nEmbd * this.size.n * 4;
    const block = new Uint8Array(Math.min(bytes, BLOCK_BYTES));
    for (let at = 0; at < bytes; at += block.length) {
      const part = block.subarray(0, bytes - at);
      writeTensor(this.x, readTensor(from.x, part, at), at);
    }
  }

  protected release(): void {
    this.masks[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
    this.#hidden[Symbol.dispose]();
  }
}
