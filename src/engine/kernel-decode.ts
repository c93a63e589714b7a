import type { Graph } from "../ggml/graph.ts";
import type { Kernels } from "../ggml/kernels/kernels.ts";
import { writeTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { LayerCache } from "../kvcache/layer-cache.ts";
import { joinHeads, type QueryKeyValue } from "../models/blocks/heads.ts";
import type { Model } from "../models/model.ts";
import type { DecodeAttention } from "./decode-attention.ts";
import { unitPairs } from "./rotation.ts";

/** Decoding with our own kernels: one node a layer rotates, appends and attends, whatever each head's length. */
export class KernelDecode implements DecodeAttention {
  /** Each head is asked anew how many tokens it holds. */
  readonly isCurrent = true;
  readonly #position: Tensor;
  readonly #pairs: Tensor;
  /** f32 [headDim, 1] */
  readonly #table: Tensor;
  /** i32 [2, nHeadKv · nLayer]: first row and length of each head. */
  readonly #extentsTensor: Tensor;
  readonly #extents: Int32Array;
  readonly #unitPairs: Float32Array;

  constructor(
    private readonly g: Graph,
    private readonly model: Model,
    private readonly layers: readonly LayerCache[],
  ) {
    const { hp, graph } = model;
    this.#unitPairs = unitPairs(hp, 1);
    this.#extents = new Int32Array(2 * hp.nLayer * hp.nHeadKv);
    this.#position = g.input({ type: TYPES.i32, shape: [1] });
    this.#pairs = g.input({ type: TYPES.f32, shape: [hp.headDim, 1, 1] });
    this.#extentsTensor = g.input({ type: TYPES.i32, shape: [2, hp.nLayer * hp.nHeadKv] });
    this.#table = g.reshape(graph.rotate(g, this.#pairs, this.#position), hp.headDim, 1);
  }

  attend(il: number, qkv: QueryKeyValue): Tensor {
    const { g, model } = this;
    const { hp } = model;
    const layer = this.layers[il] as LayerCache;
    const inputs = {
      qkv: joinHeads(g, qkv),
      table: this.#table,
      k: layer.k,
      v: layer.v,
      extents: g.rows(this.#extentsTensor, TYPES.i32, 2, il * hp.nHeadKv, hp.nHeadKv),
    };
    const longest = Math.max(...layer.heads.map((h) => h.capacity));
    const shape = { ...hp, scale: hp.attentionScale, longest, spread: layer.format.spread };
    return (g.kernels as Kernels).decode(g, inputs, shape);
  }

  prepare(position: number): void {
    let i = 0;
    for (const layer of this.layers) {
      for (const head of layer.heads) {
        this.#extents[i++] = head.row;
        this.#extents[i++] = head.length;
      }
    }
    writeTensor(this.#position, Int32Array.of(position));
    writeTensor(this.#pairs, this.#unitPairs);
    writeTensor(this.#extentsTensor, this.#extents);
  }
}
