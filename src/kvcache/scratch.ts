import type { Executor } from "../ggml/executor.ts";
import { fromHalf } from "../ggml/half.ts";
import type { Graph } from "../ggml/graph.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { readTensor, TensorBuffer, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import type { LayerCache } from "./layer-cache.ts";
import type { MemoryLedger } from "./ledger.ts";
import { spread } from "./kv-format.ts";
import { capacityFor } from "./padding.ts";
import type { RowSource } from "./rows.ts";
import type { KvShape } from "./token-bytes.ts";

/** Keys and values of the scratch: the type that CPU flash attention is fastest with. */
const TYPE = TYPES.f16;

/**
 * One layer's keys and values at full length, reused by every layer of a prefill. Tokens kept from
 * earlier turns come first and are right-aligned per kv head, so that new tokens lie in the same
 * rows for all heads whatever each head kept.
 */
export class PrefillScratch extends NativeOwner implements RowSource {
  readonly type = TYPE;
  readonly format = { spread: 0 };
  /** Rows allocated per kv head: those of a cache that keeps everything, so that it can become one. */
  readonly capacity: number;
  #buffer: TensorBuffer | undefined;

  constructor(
    readonly executor: Executor,
    readonly shape: KvShape,
    /** Rows used per kv head. */
    readonly rows: number,
    private readonly ledgers: readonly MemoryLedger[],
  ) {
    super();
    this.capacity = capacityFor(rows, "full");
  }

  /** f16 [headDim, capacity · nHeadKv] */
  get k(): Tensor {
    return this.#held().tensors[0] as Tensor;
  }

  /** f16 [headDim, capacity · nHeadKv] */
  get v(): Tensor {
    return this.#held().tensors[1] as Tensor;
  }

  /** Gives its memory away, to become a layer's cache; the next layer gets new memory. */
  handOver(): TensorBuffer {
    const given = this.#held();
    for (const ledger of this.ledgers) ledger.remove(given.bytes);
    this.#buffer = undefined;
    return given;
  }

  /** Rows `[first, first + n)` of heads `[head, head + nHead)` of K or V: [headDim, n, nHead]. */
  view(
    g: Graph,
    of: Tensor,
    first: number,
    n: number,
    head = 0,
    nHead = this.shape.nHeadKv,
  ): Tensor {
    const row = rowBytes(TYPE, this.shape.headDim);
    return g.view3d(
      of,
      [this.shape.headDim, n, nHead],
      [row, row * this.capacity],
      (head * this.capacity + first) * row,
    );
  }

  /** Rows `[first, first + n)` of one head's K or V as numbers: [headDim, n]. */
  read(of: Tensor, kvHead: number, first: number, n: number): Float32Array {
    const { headDim } = this.shape;
    const bits = new Uint16Array(n * headDim);
    const offset = (kvHead * this.capacity + first) * rowBytes(TYPE, headDim);
    return fromHalf(readTensor(of, bits, offset));
  }

  /** Copies a layer's cached tokens in, each head's last one at row `end − 1`. */
  async load(layer: LayerCache, end: number): Promise<void> {
    const from = layer.heads.flatMap((h) => range(h.row, h.length));
    const to = layer.heads.flatMap((h, i) => range(i * this.capacity + end - h.length, h.length));
    if (from.length === 0) return;
    await this.executor.run((g) => {
      const fromRows = g.constant(TYPES.i32, [from.length], Int32Array.from(from));
      const toRows = g.constant(TYPES.i32, [to.length], Int32Array.from(to));
      const plain = (of: Tensor) =>
        spread(g, g.getRows(of, fromRows), layer.headDim, layer.format.spread);
      g.expand(g.setRows(this.k, plain(layer.k), toRows));
      g.expand(g.setRows(this.v, plain(layer.v), toRows));
      return () => undefined;
    });
  }

  #held(): TensorBuffer {
    this.assertAlive();
    if (this.#buffer === undefined) {
      const { headDim, nHeadKv } = this.shape;
      const spec = { type: TYPE, shape: [headDim, this.capacity * nHeadKv] };
      this.#buffer = new TensorBuffer(this.executor.backend.bufferType, [spec, spec]);
      for (const ledger of this.ledgers) ledger.add(this.#buffer.bytes);
    }
    return this.#buffer;
  }

  protected release(): void {
    if (this.#buffer === undefined) return;
    for (const ledger of this.ledgers) ledger.remove(this.#buffer.bytes);
    this.#buffer[Symbol.dispose]();
  }
}

function range(first: number, n: number): number[] {
  return Array.from({ length: n }, (_, i) => first + i);
}
