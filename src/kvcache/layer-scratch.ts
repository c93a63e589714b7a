import type { Device } from "../ggml/device.ts";
import { fromHalf } from "../ggml/half.ts";
import type { Graph } from "../ggml/graph.ts";
import { NativeOwner } from "../ggml/owner.ts";
import type { TensorBuffer } from "../ggml/tensor-buffer.ts";
import { readTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import { headRuns, type HeadRun } from "./head-runs.ts";
import type { LayerCache } from "./layer-cache.ts";
import type { MemoryLedger } from "./ledger.ts";
import { transformed } from "./kv-format.ts";
import { capacityFor } from "./padding.ts";
import type { RowSource } from "./rows.ts";
import type { KvLayerShape } from "./token-bytes.ts";

/** Keys and values of the scratch: the type that CPU flash attention is fastest with. */
const TYPE = TYPES.f16;

export interface ScratchSize {
  /** Tokens that the fullest kv head of any layer holds from earlier turns. */
  readonly past: number;
  /** Rows of new tokens. */
  readonly rows: number;
}

/**
 * One layer's keys and values at full length, for layer after layer of a prefill. Tokens kept from earlier turns come
 * first and are right-aligned per kv head, so that new tokens lie in the same rows for all heads whatever each head
 * kept. It knows its rows: callers count a head's tokens from the first one that it holds.
 */
export class LayerScratch extends NativeOwner implements RowSource {
  readonly type = TYPE;
  readonly format = { hadamard: 0 };
  /** Rows allocated per kv head: those of a cache that keeps everything, so that it can become one. */
  readonly capacity: number;
  #shape: KvLayerShape = { nHeadKv: 0, headDim: 0 };
  #runs: readonly HeadRun[] = [];
  #buffer: TensorBuffer | undefined;

  constructor(
    /** The device in whose memory it lies. */
    readonly device: Device,
    private readonly size: ScratchSize,
    private readonly ledgers: readonly MemoryLedger[],
  ) {
    super();
    this.capacity = capacityFor(this.rows, "full");
  }

  /** Rows used per kv head. */
  get rows(): number {
    return this.size.past + this.size.rows;
  }

  /** The shape of the layer at hand. */
  get shape(): KvLayerShape {
    return this.#shape;
  }

  /** The kv heads of the layer at hand, neighbours that hold equally many tokens from earlier turns together. */
  get runs(): readonly HeadRun[] {
    return this.#runs;
  }

  /** f16 [headDim, capacity · nHeadKv] */
  get k(): Tensor {
    return this.#held().tensors[0] as Tensor;
  }

  /** f16 [headDim, capacity · nHeadKv] */
  get v(): Tensor {
    return this.#held().tensors[1] as Tensor;
  }

  /** Makes ready for a layer: what its cache holds from earlier turns is there, and nothing else. */
  async begin(shape: KvLayerShape, past: LayerCache | undefined): Promise<void> {
    const { nHeadKv, headDim } = this.#shape;
    if (shape.nHeadKv !== nHeadKv || shape.headDim !== headDim) this.release();
    this.#shape = shape;
    this.#runs = headRuns(
      past?.heads.map((h) => h.length) ?? new Array<number>(shape.nHeadKv).fill(0),
    );
    if (past !== undefined) await this.#load(past);
  }

  /** Gives its memory away, to become a layer's cache; the next layer gets new memory. */
  handOver(): TensorBuffer {
    const held = this.#held();
    for (const ledger of this.ledgers) ledger.remove(held.bytes);
    this.#buffer = undefined;
    return held;
  }

  /** The run that a kv head belongs to. */
  runOf(kvHead: number): HeadRun {
    return this.#runs.find((r) => kvHead < r.firstHead + r.nHeadKv) as HeadRun;
  }

  /** Row of a kv head's first token. */
  firstRow({ nPast }: Pick<HeadRun, "nPast">): number {
    return this.size.past - nPast;
  }

  /** The first `n` tokens' keys of a run's heads: f16 [headDim, n, nHeadKv of the run]. */
  keys(g: Graph, run: HeadRun, n: number): Tensor {
    return this.#view(g, this.k, this.firstRow(run), n, run);
  }

  /** The first `n` tokens' values of a run's heads: f16 [headDim, n, nHeadKv of the run]. */
  values(g: Graph, run: HeadRun, n: number): Tensor {
    return this.#view(g, this.v, this.firstRow(run), n, run);
  }

  /** Where keys and values of `n` new tokens go, from new row `row` on: f16 [headDim, n, nHeadKv] each. */
  newRows(g: Graph, { row, n }: { readonly row: number; readonly n: number }) {
    const heads = { firstHead: 0, nHeadKv: this.#shape.nHeadKv };
    const view = (of: Tensor) => this.#view(g, of, this.size.past + row, n, heads);
    return { k: view(this.k), v: view(this.v) };
  }

  /** Keys or values of a kv head's tokens `[first, first + n)` as numbers: [headDim, n]. */
  read(of: "k" | "v", kvHead: number, first: number, n: number): Float32Array {
    const { headDim } = this.#shape;
    const bits = new Uint16Array(n * headDim);
    const offset = (this.row(kvHead) + first) * rowBytes(TYPE, headDim);
    return fromHalf(readTensor(this[of], bits, offset));
  }

  /** Row of a kv head's first token in `k` and `v`, all heads' rows counted. */
  row(kvHead: number): number {
    return kvHead * this.capacity + this.firstRow(this.runOf(kvHead));
  }

  #view(
    g: Graph,
    of: Tensor,
    first: number,
    n: number,
    { firstHead, nHeadKv }: Pick<HeadRun, "firstHead" | "nHeadKv">,
  ): Tensor {
    const { headDim } = this.#shape;
    const row = rowBytes(TYPE, headDim);
    const offset = (firstHead * this.capacity + first) * row;
    return g.view3d(of, [headDim, n, nHeadKv], [row, row * this.capacity], offset);
  }

  /** Copies a layer's cached tokens in, each head's last one right before the new rows. */
  async #load(layer: LayerCache): Promise<void> {
    const from = layer.heads.flatMap((h) => range(h.row, h.length));
    const to = layer.heads.flatMap((h, i) => range(this.row(i), h.length));
    if (from.length === 0) return;
    await this.device.run((g) => {
      const fromRows = g.constant(TYPES.i32, [from.length], Int32Array.from(from));
      const toRows = g.constant(TYPES.i32, [to.length], Int32Array.from(to));
      const plain = (of: Tensor) =>
        transformed(g, g.getRows(of, fromRows), layer.headDim, layer.format.hadamard);
      g.expand(g.setRows(this.k, plain(layer.k), toRows));
      g.expand(g.setRows(this.v, plain(layer.v), toRows));
      return () => undefined;
    });
  }

  #held(): TensorBuffer {
    this.assertAlive();
    if (this.#buffer === undefined) {
      const { headDim, nHeadKv } = this.#shape;
      const spec = { type: TYPE, shape: [headDim, this.capacity * nHeadKv] };
      this.#buffer = this.device.allocate([spec, spec]);
      for (const ledger of this.ledgers) ledger.add(this.#buffer.bytes);
    }
    return this.#buffer;
  }

  protected release(): void {
    if (this.#buffer === undefined) return;
    for (const ledger of this.ledgers) ledger.remove(this.#buffer.bytes);
    this.#buffer[Symbol.dispose]();
    this.#buffer = undefined;
  }
}

function range(first: number, n: number): number[] {
  return Array.from({ length: n }, (_, i) => first + i);
}
