import type { Device } from "../../ggml/device.ts";
import type { InputGraph } from "../../ggml/input-graph.ts";
import type { RopeParameters } from "../../ggml/graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { QueryKeyValue } from "../../ggml/operations/nodes.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import { unitPairs } from "../../models/blocks/rope.ts";
import type { Chunk } from "../observe/layer-observer.ts";
import { chunksOf } from "./chunks.ts";

/** Positions whose rotation is computed at a time. */
const TABLE_CHUNK = 4096;

/** What a chunk's tokens attend with in a layer, and where it goes. */
interface NewHeads {
  readonly qkv: QueryKeyValue;
  /** What `positions` gives for the chunk. */
  readonly positions: Tensor;
  readonly chunk: Chunk;
  /** f16 [headDim, n, nHeadKv] */
  readonly k: Tensor;
  /** f16 [headDim, n, nHeadKv] */
  readonly v: Tensor;
}

/** Rotates the queries and keys of a prefill's chunks and puts keys and values where they are kept. */
export class Rotation extends NativeOwner {
  /** With our own kernels: f32 [headDim, n], the rotation of each new token. Computed once for all layers of a RoPE. */
  readonly #tables = new Map<RopeParameters, TensorBuffer>();

  private constructor(
    private readonly model: Model,
    /** True positions, in the order of the rows. */
    private readonly places: Int32Array,
  ) {
    super();
  }

  /** For tokens at these positions, in the order of their rows, in the layers of a device. */
  static async create(device: Device, model: Model, positions: Int32Array): Promise<Rotation> {
    const rotation = new Rotation(model, positions);
    const n = positions.length;
    try {
      for (const [il, layer] of model.layers.entries()) {
        const { rope, headDim, operations, recurrence } = layer;
        if (layer.device !== device || !operations.rotatesByTable) continue;
        if (recurrence !== undefined || rotation.#tables.has(rope)) continue;
        const spec = { type: TYPES.f32, shape: [headDim, n] };
        rotation.#tables.set(rope, device.allocate([spec]));
        for (const chunk of chunksOf(n, TABLE_CHUNK)) await rotation.#fill(device, il, chunk);
      }
    } catch (error) {
      rotation[Symbol.dispose]();
      throw error;
    }
    return rotation;
  }

  #fill(device: Device, il: number, { first, n }: Chunk): Promise<void> {
    const { graph } = this.model;
    const layer = this.#layer(il);
    return device.run((g) => {
      const pairs = g.constant(TYPES.f32, [layer.headDim, 1, n], unitPairs(layer, n));
      const positions = g.constant(TYPES.i32, [n], this.places.slice(first, first + n));
      const turned = g.reshape(graph.rotate(g, il, pairs, positions), layer.headDim, n);
      g.expand(g.copy(turned, this.#rows(g, il, first, n)));
      return () => undefined;
    });
  }

  #rows(g: InputGraph, il: number, first: number, n: number): Tensor {
    const { rope, headDim } = this.#layer(il);
    const table = this.#tables.get(rope)?.tensors[0] as Tensor;
    return g.rows(table, TYPES.f32, headDim, first, n);
  }

  #layer(il: number): ModelLayer {
    return this.model.layers[il] as ModelLayer;
  }

  /** The true positions of a chunk's tokens: i32 [n]. */
  positions(g: InputGraph, { row, n }: Chunk): Tensor {
    return g.constant(TYPES.i32, [n], this.places.slice(row, row + n));
  }

  /**
   * Adds the nodes of one chunk in one layer.
   *
   * @returns the queries, rotated: f32 [headDim, nHead, n]
   */
  store(g: InputGraph, il: number, { qkv, positions, chunk, k, v }: NewHeads): Tensor {
    this.assertAlive();
    const layer = this.#layer(il);
    const rotated = (heads: Tensor) => this.model.graph.rotate(g, il, heads, positions);
    const table = () => this.#rows(g, il, chunk.row, chunk.n);
    return layer.operations.rotate(g, { qkv, rotated, table, k, v }, layer);
  }

  protected release(): void {
    for (const table of this.#tables.values()) table[Symbol.dispose]();
  }
}
