import { PyramidKVError } from "../../errors.ts";
import type { InputGraph } from "../../ggml/input-graph.ts";
import type { Graph } from "../../ggml/graph.ts";
import { allOrNone, NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { hostAddress, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import type { Places } from "./visibility.ts";

/**
 * The queries of the last decoded tokens in every layer that methods act on, before rotation, as rows that take turns.
 */
export class QueryRing extends NativeOwner {
  /** Queries of each layer that methods act on: f32 [headDim · nHead, size]. */
  readonly #buffers: readonly TensorBuffer[];
  /** Positions of the queries held, and their order, by row. */
  readonly #positions: Int32Array;
  readonly #order: Int32Array;
  /** How far the order of later tokens is ahead of their positions. */
  #ahead = 0;
  #count = 0;
  readonly #addresses: number[] = [];

  constructor(
    private readonly model: Model,
    /** Queries held at most. */
    readonly size: number,
  ) {
    super();
    this.#positions = new Int32Array(size);
    this.#order = new Int32Array(size);
    const { compressible, headDim, nHead } = model.hp;
    const spec = { type: TYPES.f32, shape: [headDim * nHead, size] };
    this.#buffers = allOrNone(
      compressible.map((il) => () => (model.layers[il] as ModelLayer).device.allocate([spec])),
    );
  }

  /** Tokens decoded since the ring was cleared. */
  get count(): number {
    return this.#count;
  }

  /** Queries held. */
  get length(): number {
    return Math.min(this.#count, this.size);
  }

  /** The row that the next token's query is written to. */
  get nextRow(): number {
    return this.#count % this.size;
  }

  /** How far the order of later tokens is ahead of their positions. */
  get ahead(): number {
    return this.#ahead;
  }

  /** Where the next token's query of a layer is written to in the host's memory; 0 where the layer keeps none. */
  nextAddress(il: number): number {
    const at = this.model.hp.compressible.indexOf(il);
    if (at < 0) return 0;
    const { headDim, nHead } = this.model.hp;
    const address = (this.#addresses[at] ??= hostAddress(this.#ring(at)));
    return address + this.nextRow * headDim * nHead * 4;
  }

  /** Adds the copy of a layer's query, f32 [headDim, nHead, 1] before rotation, to a decode graph. */
  capture(g: Graph, il: number, q: Tensor, row: Tensor): void {
    const at = this.model.hp.compressible.indexOf(il);
    if (at < 0) return;
    const { headDim, nHead } = this.model.hp;
    const flat = g.view2d(q, headDim * nHead, 1, headDim * nHead * 4, 0);
    g.expand(g.setRows(this.#ring(at), flat, row));
  }

  /** Notes that a step wrote its queries. */
  stepped(position: number): void {
    this.#positions[this.nextRow] = position;
    this.#order[this.nextRow] = position + this.#ahead;
    this.#count++;
  }

  clear(): void {
    this.#count = 0;
    this.#ahead = 0;
  }

  /** Notes that all tokens moved by this many positions; their order stays. */
  move(by: number): void {
    this.#positions.forEach((p, i) => (this.#positions[i] = p + by));
    this.#ahead -= by;
  }

  /**
   * The last `n` queries of a layer, rotated: f32 [headDim, nHead, n], and where they stand.
   *
   * @param nextPosition position of the token to come
   */
  last(
    g: InputGraph,
    il: number,
    n: number,
    nextPosition: number,
  ): { readonly queries: Tensor; readonly places: Places } {
    this.assertAlive();
    const rows = Int32Array.from({ length: n }, (_, i) => (this.#count - n + i) % this.size);
    const positions = rows.map((row) => this.#positions[row] as number);
    const order = rows.map((row) => this.#order[row] as number);
    if (positions.at(-1) !== nextPosition - 1) {
      throw new PyramidKVError("NATIVE", "the last decoded token's query was not kept");
    }
    const { headDim, nHead } = this.model.layers[il] as ModelLayer;
    const ring = this.#ring(this.model.hp.compressible.indexOf(il));
    const held = g.getRows(ring, g.constant(TYPES.i32, [n], rows));
    const plain = g.reshape(held, headDim, nHead, n);
    const at = g.constant(TYPES.i32, [n], positions);
    return { queries: this.model.graph.rotate(g, il, plain, at), places: { positions, order } };
  }

  /** The queries of a layer, by its place among those that methods act on. */
  #ring(at: number): Tensor {
    return this.#buffers[at]?.tensors[0] as Tensor;
  }

  protected release(): void {
    for (const buffer of this.#buffers) buffer[Symbol.dispose]();
  }
}
