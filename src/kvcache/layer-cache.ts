import type { Device } from "../ggml/device.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { hostAddress, zeroTensor, type Tensor, type TensorBuffer } from "../ggml/tensor-buffer.ts";
import { rowBytes } from "../ggml/types.ts";
import type { HeadRange } from "../models/blocks/attention.ts";
import { HeadCache } from "./head-cache.ts";
import { neighbours } from "./head-runs.ts";
import type { KvFormat } from "./kv-format.ts";
import type { Padding } from "./padding.ts";

/** Neighbouring kv heads with equal extents: one attention node serves them all. */
export interface HeadGroup extends HeadRange {
  /** First row of the first head; the others follow at distances of `capacity`. */
  readonly row: number;
  readonly capacity: number;
  readonly length: number;
}

export interface LayerCacheSpec {
  readonly format: KvFormat;
  readonly headDim: number;
  /** Per kv head: the positions of the tokens it will hold, ascending. */
  readonly positions: readonly Int32Array[];
  /** Per kv head: rows to allocate, at least as many as tokens. */
  readonly capacities: readonly number[];
  readonly padding: Padding;
  /** Tokens that the layer's queries see, where it has a sliding window. */
  readonly window?: number | undefined;
  /** Memory to take over instead of allocating: K and V of just this layout, rows already written. */
  readonly buffer?: TensorBuffer;
}

/** Tokens that lie before the sliding window of the newest of `nTokens`. */
export function slidOut(nTokens: number, window: number | undefined): number {
  return Math.max(0, nTokens - (window ?? Infinity));
}

/**
 * The cached keys and values of one layer. Each kv head has its own extent of rows, so heads and
 * layers may differ in length, and what is evicted is memory that was never kept.
 */
export class LayerCache extends NativeOwner {
  readonly format: KvFormat;
  readonly headDim: number;
  readonly padding: Padding;
  /** Tokens that the layer's queries see, where it has a sliding window: its heads hold the newest, and no gaps. */
  readonly window: number | undefined;
  readonly heads: readonly HeadCache[];
  /** [headDim, rows of all heads] */
  readonly k: Tensor;
  /** [headDim, rows of all heads] */
  readonly v: Tensor;
  readonly #buffer: TensorBuffer;
  #addresses: { readonly k: number; readonly v: number } | undefined;

  constructor(
    /** The device in whose memory it lies. */
    readonly device: Device,
    spec: LayerCacheSpec,
  ) {
    super();
    this.format = spec.format;
    this.headDim = spec.headDim;
    this.padding = spec.padding;
    this.window = spec.window;
    let row = 0;
    this.heads = spec.capacities.map((capacity, h) => {
      const head = new HeadCache(row, capacity, spec.positions[h] as Int32Array);
      row += capacity;
      return head;
    });
    const shape = [spec.headDim, row];
    this.#buffer =
      spec.buffer ??
      device.allocate([
        { type: spec.format.type, shape, name: "k" },
        { type: spec.format.type, shape, name: "v" },
      ]);
    [this.k, this.v] = this.#buffer.tensors as [Tensor, Tensor];
    this.#zeroPadding();
  }

  /** Rows beyond a head's length are masked, but 0 · NaN would still be NaN. */
  #zeroPadding(): void {
    const bytes = rowBytes(this.format.type, this.headDim);
    for (const { row, capacity, length } of this.heads) {
      const [offset, size] = [(row + length) * bytes, (capacity - length) * bytes];
      zeroTensor(this.k, offset, size);
      zeroTensor(this.v, offset, size);
    }
  }

  /** Where K and V lie in the host's memory. */
  get addresses(): { readonly k: number; readonly v: number } {
    return (this.#addresses ??= { k: hostAddress(this.k), v: hostAddress(this.v) });
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#buffer.bytes;
  }

  /** Tokens held per kv head; the mean where heads differ. */
  get kept(): number {
    return this.heads.reduce((sum, h) => sum + h.length, 0) / this.heads.length;
  }

  /** Rows allocated per kv head; the mean where heads differ. */
  get capacity(): number {
    return this.heads.reduce((sum, h) => sum + h.capacity, 0) / this.heads.length;
  }

  /** True positions of the tokens that a kv head holds, ascending. */
  positions(kvHead: number): Int32Array {
    const head = this.heads[kvHead];
    if (head === undefined) throw new RangeError(`kv head ${kvHead} of ${this.heads.length}`);
    return head.positions;
  }

  /** Tokens that can still be appended to every head. */
  get free(): number {
    return this.heads.reduce((free, h) => Math.min(free, h.capacity - h.length), Infinity);
  }

  groups(): HeadGroup[] {
    const areAlike = (a: HeadCache, b: HeadCache) =>
      a.capacity === b.capacity && a.length === b.length;
    return neighbours(this.heads, areAlike).map(({ firstHead, nHeadKv, first }) => {
      const { row, capacity, length } = first;
      return { firstHead, nHeadKv, row, capacity, length };
    });
  }

  protected release(): void {
    this.#buffer[Symbol.dispose]();
  }
}
