import type { Graph } from "../ggml/graph.ts";
import { writeTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import { hadamard } from "../kvcache/kv-format.ts";
import type { HeadGroup, LayerCache } from "../kvcache/layer-cache.ts";
import { attention, type KvGroup } from "../models/blocks/attention.ts";
import type { QueryKeyValue } from "../models/blocks/heads.ts";
import type { Model } from "../models/model.ts";
import type { DecodeAttention } from "./decode-attention.ts";
import { MASKED, VISIBLE } from "./masks.ts";

/** A stretch of the packed mask: groups of equal length and capacity share one. */
interface MaskSlot {
  readonly offset: number;
  readonly capacity: number;
  length: number;
}

/** Decoding with ggml's operations: rows are written at indices that are inputs, and read through masks. */
export class MaskedDecode implements DecodeAttention {
  readonly #position: Tensor;
  readonly #rowIndices: Tensor;
  readonly #maskTensor: Tensor;
  readonly #rows: Int32Array;
  readonly #mask: Uint16Array;
  /** f32 [headDim, headDim], where the cache holds its rows spread. */
  readonly #hadamard: { readonly tensor: Tensor; readonly values: Float32Array } | undefined;
  readonly #slots = new Map<string, MaskSlot>();
  /** Tokens that the masks show of each head. */
  readonly #lengths: number[];

  constructor(
    private readonly g: Graph,
    private readonly model: Model,
    private readonly layers: readonly LayerCache[],
  ) {
    const { nLayer, nHeadKv, headDim } = model.hp;
    this.#rows = new Int32Array(nLayer * nHeadKv);
    this.#lengths = this.#heads.map(({ length }) => length);
    this.#mask = this.#layOutMasks();
    this.#position = g.input({ type: TYPES.i32, shape: [1] });
    this.#rowIndices = g.input({ type: TYPES.i32, shape: [this.#rows.length] });
    this.#maskTensor = g.input({ type: TYPES.f16, shape: [this.#mask.length] });
    const block = layers[0]?.format.spread ?? 0;
    this.#hadamard =
      block === 0
        ? undefined
        : {
            tensor: g.input({ type: TYPES.f32, shape: [headDim, headDim] }),
            values: hadamard(headDim, block),
          };
  }

  get isCurrent(): boolean {
    return this.#heads.every(({ length }, i) => length === this.#lengths[i]);
  }

  get #heads() {
    return this.layers.flatMap((layer) => layer.heads);
  }

  attend(il: number, qkv: QueryKeyValue): Tensor {
    const { g, model } = this;
    const { hp, graph } = model;
    const layer = this.layers[il] as LayerCache;
    const rows = g.view1d(this.#rowIndices, hp.nHeadKv, il * hp.nHeadKv * 4);
    const perHead = (t: Tensor) => g.reshape(t, hp.headDim, hp.nHeadKv);
    const k = this.#spread(graph.rotate(g, qkv.k, this.#position));
    g.expand(g.setRows(layer.k, perHead(k), rows));
    g.expand(g.setRows(layer.v, this.#spread(perHead(qkv.v)), rows));
    const groups = layer.groups().map((group) => this.#kvGroup(layer, group));
    const q = this.#spread(graph.rotate(g, qkv.q, this.#position));
    const attended = attention(g, q, groups, { ...hp, n: 1, scale: hp.attentionScale });
    if (this.#hadamard === undefined) return attended;
    const out = this.#spread(g.reshape(attended, hp.headDim, hp.nHead));
    return g.reshape(out, hp.headDim * hp.nHead, 1);
  }

  /** To what the cache holds, and back. */
  #spread(rows: Tensor): Tensor {
    return this.#hadamard === undefined ? rows : this.g.mulMat(this.#hadamard.tensor, rows);
  }

  /** Points each head at its next free row and makes that row visible. */
  prepare(position: number): void {
    this.#heads.forEach(({ row, length }, i) => {
      this.#rows[i] = row + length;
      this.#lengths[i] = length + 1;
    });
    for (const slot of this.#slots.values()) this.#mask[slot.offset + slot.length++] = VISIBLE;
    writeTensor(this.#position, Int32Array.of(position));
    writeTensor(this.#rowIndices, this.#rows);
    writeTensor(this.#maskTensor, this.#mask);
    if (this.#hadamard !== undefined) writeTensor(this.#hadamard.tensor, this.#hadamard.values);
  }

  #layOutMasks(): Uint16Array {
    let size = 0;
    for (const { capacity, length } of this.layers.flatMap((l) => l.groups())) {
      const key = slotKey(capacity, length);
      if (this.#slots.has(key)) continue;
      this.#slots.set(key, { offset: size, capacity, length });
      size += capacity;
    }
    const mask = new Uint16Array(size).fill(MASKED);
    for (const { offset, length } of this.#slots.values()) {
      mask.fill(VISIBLE, offset, offset + length);
    }
    return mask;
  }

  #kvGroup(layer: LayerCache, group: HeadGroup): KvGroup {
    const { capacity, length, nHeadKv } = group;
    const row = rowBytes(layer.format.type, layer.headDim);
    const view = (of: Tensor) =>
      this.g.view3d(of, [layer.headDim, capacity, nHeadKv], [row, row * capacity], group.row * row);
    const slot = this.#slots.get(slotKey(capacity, length)) as MaskSlot;
    return {
      ...group,
      k: view(layer.k),
      v: view(layer.v),
      mask: () => this.g.view2d(this.#maskTensor, capacity, 1, capacity * 2, slot.offset * 2),
    };
  }
}

function slotKey(capacity: number, length: number): string {
  return `${capacity}/${length}`;
}
