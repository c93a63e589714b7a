import type { Executor } from "../ggml/executor.ts";
import type { Graph } from "../ggml/graph.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { TensorBuffer, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import type { KvShape } from "./kv-cache.ts";
import type { LayerCache } from "./layer-cache.ts";
import type { MemoryLedger } from "./ledger.ts";

/** Keys and values of the scratch: the type that CPU flash attention is fastest with. */
const TYPE = TYPES.f16;

/**
 * One layer's keys and values at full length, reused by every layer of a prefill. Tokens kept from
 * earlier turns come first and are right-aligned per kv head, so that new tokens lie in the same
 * rows for all heads whatever each head kept.
 */
export class PrefillScratch extends NativeOwner {
  /** f16 [headDim, rows, nHeadKv] */
  readonly k: Tensor;
  /** f16 [headDim, rows, nHeadKv] */
  readonly v: Tensor;
  readonly type = TYPE;
  readonly #buffer: TensorBuffer;
  readonly #ledgers: readonly MemoryLedger[];

  constructor(
    readonly executor: Executor,
    readonly shape: KvShape,
    readonly rows: number,
    ledgers: readonly MemoryLedger[],
  ) {
    super();
    const { headDim, nHeadKv } = shape;
    const spec = { type: TYPE, shape: [headDim, rows, nHeadKv] };
    this.#buffer = new TensorBuffer(executor.backend.bufferType, [spec, spec]);
    [this.k, this.v] = this.#buffer.tensors as [Tensor, Tensor];
    this.#buffer.clear();
    this.#ledgers = ledgers;
    for (const ledger of ledgers) ledger.add(this.#buffer.bytes);
  }

  get bytes(): number {
    return this.#buffer.bytes;
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
      [row, row * this.rows],
      (head * this.rows + first) * row,
    );
  }

  /** K or V as one matrix of all heads' rows: [headDim, rows · nHeadKv]. */
  matrix(g: Graph, of: Tensor): Tensor {
    return g.reshape(of, this.shape.headDim, this.rows * this.shape.nHeadKv);
  }

  /** Copies a layer's cached tokens in, each head's last one at row `end − 1`. */
  async load(layer: LayerCache, end: number): Promise<void> {
    const from = layer.heads.flatMap((h) => range(h.row, h.length));
    const to = layer.heads.flatMap((h, i) => range(i * this.rows + end - h.length, h.length));
    if (from.length === 0) return;
    await this.executor.run((g) => {
      const fromRows = g.constant(TYPES.i32, [from.length], Int32Array.from(from));
      const toRows = g.constant(TYPES.i32, [to.length], Int32Array.from(to));
      g.expand(g.setRows(this.matrix(g, this.k), g.getRows(layer.k, fromRows), toRows));
      g.expand(g.setRows(this.matrix(g, this.v), g.getRows(layer.v, fromRows), toRows));
      return () => undefined;
    });
  }

  protected release(): void {
    for (const ledger of this.#ledgers) ledger.remove(this.#buffer.bytes);
    this.#buffer[Symbol.dispose]();
  }
}

function range(first: number, n: number): number[] {
  return Array.from({ length: n }, (_, i) => first + i);
}
