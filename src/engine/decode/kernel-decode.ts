import type { Graph, RopeParameters } from "../../ggml/graph.ts";
import type { Kernels } from "../../ggml/kernels/kernels.ts";
import { writeTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import { slidOut, type LayerCache } from "../../kvcache/layer-cache.ts";
import { joinHeads, type QueryKeyValue } from "../../models/blocks/heads.ts";
import { unitPairs } from "../../models/blocks/rope.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import type { DecodeAttention } from "./decode-attention.ts";

/** The rotation of the step's position, for one RoPE. */
interface Turn {
  /** f32 [headDim, 1, 1] */
  readonly input: Tensor;
  readonly pairs: Float32Array;
  /** f32 [headDim, 1] */
  readonly table: Tensor;
}

/** Decoding with our own kernels: one node a layer rotates, appends and attends, whatever each head's length. */
export class KernelDecode implements DecodeAttention {
  /** Each head is asked anew how many tokens it holds. */
  readonly isCurrent = true;
  readonly #position: Tensor;
  readonly #turns = new Map<RopeParameters, Turn>();
  /** i32 [2, heads of all layers]: first row and length of what each head attends to. */
  readonly #extentsTensor: Tensor;
  readonly #extents: Int32Array;
  /** The first head of each layer, among all. */
  readonly #firstHeads: readonly number[];

  constructor(
    private readonly g: Graph,
    private readonly model: Model,
    private readonly layers: readonly LayerCache[],
  ) {
    let nHeads = 0;
    this.#firstHeads = layers.map(({ heads }) => (nHeads += heads.length) - heads.length);
    this.#extents = new Int32Array(2 * nHeads);
    this.#position = g.input({ type: TYPES.i32, shape: [1] });
    this.#extentsTensor = g.input({ type: TYPES.i32, shape: [2, nHeads] });
    model.layers.forEach(({ rope, headDim }, il) => {
      if (this.#turns.has(rope)) return;
      const input = g.input({ type: TYPES.f32, shape: [headDim, 1, 1] });
      const table = g.reshape(model.graph.rotate(g, il, input, this.#position), headDim, 1);
      this.#turns.set(rope, { input, table, pairs: unitPairs({ headDim, rope }, 1) });
    });
  }

  attend(il: number, qkv: QueryKeyValue): Tensor {
    const { g } = this;
    const shape = this.model.layers[il] as ModelLayer;
    const layer = this.layers[il] as LayerCache;
    const firstHead = this.#firstHeads[il] as number;
    const inputs = {
      qkv: joinHeads(g, qkv),
      table: (this.#turns.get(shape.rope) as Turn).table,
      k: layer.k,
      v: layer.v,
      extents: g.rows(this.#extentsTensor, TYPES.i32, 2, firstHead, layer.heads.length),
    };
    const longest = Math.max(...layer.heads.map((h) => h.capacity));
    const { spread } = layer.format;
    return (g.kernels as Kernels).decode(g, inputs, { ...shape, longest, spread });
  }

  prepare(position: number): void {
    let i = 0;
    for (const { heads, window } of this.layers) {
      for (const { row, length } of heads) {
        const unseen = slidOut(length + 1, window);
        this.#extents[i++] = row + unseen;
        this.#extents[i++] = length - unseen;
      }
    }
    writeTensor(this.#position, Int32Array.of(position));
    for (const { input, pairs } of this.#turns.values()) writeTensor(input, pairs);
    writeTensor(this.#extentsTensor, this.#extents);
  }
}
