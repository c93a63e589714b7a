import type { Graph } from "../../ggml/graph.ts";
import { ggmlOperations } from "../../ggml/operations/ggml.ts";
import type { QueryKeyValue } from "../../ggml/operations/nodes.ts";
import { writeInput, type Tensor } from "../../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../../ggml/types.ts";
import { hadamardMatrix } from "../../kvcache/kv-format.ts";
import { slidOut, type HeadGroup, type LayerCache } from "../../kvcache/layer-cache.ts";
import { attention, type KvGroup } from "../../models/blocks/attention.ts";
import { MASKED, VISIBLE } from "../../models/blocks/masks.ts";
import type { Model, ModelLayer } from "../../models/model.ts";

/** A stretch of the packed mask: groups of equal length and capacity share one. */
interface MaskSlot {
  readonly offset: number;
  readonly capacity: number;
  readonly window: number | undefined;
  length: number;
}

/** Decoding with ggml's operations: rows are written at indices that are inputs, and read through masks. */
export class MaskedAttention {
  readonly #rowIndices: Tensor;
  readonly #maskTensor: Tensor;
  readonly #rows: Int32Array;
  readonly #mask: Uint16Array;
  /** f32 [headDim, headDim] by head size, where the cache holds its rows as Hadamard transforms. */
  readonly #hadamards = new Map<
    number,
    { readonly tensor: Tensor; readonly values: Float32Array }
  >();
  readonly #slots = new Map<string, MaskSlot>();
  /** Tokens that the masks show of each head. */
  readonly #lengths: number[];
  /** The first head of each layer, among all. */
  readonly #firstHeads = new Map<number, number>();

  constructor(
    private readonly g: Graph,
    private readonly model: Model,
    /** Caches of layers that attend, by the layers' numbers. */
    private readonly layers: ReadonlyMap<number, LayerCache>,
    /** The new token's: i32 [1]. */
    private readonly position: Tensor,
  ) {
    let nHeads = 0;
    for (const [il, { heads }] of layers) {
      this.#firstHeads.set(il, nHeads);
      nHeads += heads.length;
    }
    this.#rows = new Int32Array(nHeads);
    this.#lengths = this.#heads.map(({ length }) => length);
    this.#mask = this.#layOutMasks();
    // Where no layer attends, nothing reads them.
    this.#rowIndices = g.input({ type: TYPES.i32, shape: [Math.max(1, this.#rows.length)] });
    this.#maskTensor = g.input({ type: TYPES.f16, shape: [Math.max(1, this.#mask.length)] });
    for (const { headDim, format } of layers.values()) {
      if (format.hadamard === 0 || this.#hadamards.has(headDim)) continue;
      const tensor = g.input({ type: TYPES.f32, shape: [headDim, headDim] });
      this.#hadamards.set(headDim, { tensor, values: hadamardMatrix(headDim, format.hadamard) });
    }
  }

  /** Whether it would read all tokens that the caches hold now, and no others. */
  get isCurrent(): boolean {
    return this.#heads.every(({ length }, i) => length === this.#lengths[i]);
  }

  get #heads() {
    return [...this.layers.values()].flatMap((layer) => layer.heads);
  }

  /** Appends the token to a layer's cache and attends to it → f32 [headDim · nHead, 1]. */
  append(il: number, { q, k, v }: QueryKeyValue): Tensor {
    const { g, model } = this;
    const { headDim, nHeadKv } = model.layers[il] as ModelLayer;
    const layer = this.layers.get(il) as LayerCache;
    const rows = g.view1d(this.#rowIndices, nHeadKv, (this.#firstHeads.get(il) as number) * 4);
    const perHead = (t: Tensor) => g.reshape(t, headDim, nHeadKv);
    const keys = this.#transformed(headDim, model.graph.rotate(g, il, k, this.position));
    g.expand(g.setRows(layer.k, perHead(keys), rows));
    g.expand(g.setRows(layer.v, this.#transformed(headDim, perHead(v)), rows));
    return this.attend(il, q);
  }

  /** To what the cache holds, and back. */
  #transformed(headDim: number, t: Tensor): Tensor {
    const matrix = this.#hadamards.get(headDim)?.tensor;
    return matrix === undefined ? t : this.g.mulMat(matrix, t);
  }

  /** Attends to what a layer's cache holds, or the one that it shares, with queries f32 [headDim, nHead, 1]. */
  attend(il: number, queries: Tensor): Tensor {
    const { g, model } = this;
    const { graph } = model;
    const shape = model.layers[il] as ModelLayer;
    const { headDim, nHead, sharesKvOf = il } = shape;
    const layer = this.layers.get(sharesKvOf) as LayerCache;
    const groups = layer.groups().map((group) => this.#kvGroup(layer, group));
    const q = this.#transformed(headDim, graph.rotate(g, il, queries, this.position));
    // Ours would read rows that the mask hides, and all rows as f16.
    const attended = attention(g, q, groups, { ...shape, n: 1, operations: ggmlOperations });
    if (!this.#hadamards.has(headDim)) return attended;
    const back = this.#transformed(headDim, g.reshape(attended, headDim, nHead));
    return g.reshape(back, headDim * nHead, 1);
  }

  /** Points each head at its next free row and makes that row visible. */
  prepare(): void {
    this.#heads.forEach(({ row, length }, i) => {
      this.#rows[i] = row + length;
      this.#lengths[i] = length + 1;
    });
    for (const slot of this.#slots.values()) {
      this.#mask[slot.offset + slot.length++] = VISIBLE;
      const unseen = slidOut(slot.length, slot.window);
      if (unseen > 0) this.#mask[slot.offset + unseen - 1] = MASKED;
    }
    writeInput(this.#rowIndices, this.#rows);
    writeInput(this.#maskTensor, this.#mask);
    for (const { tensor, values } of this.#hadamards.values()) writeInput(tensor, values);
  }

  #layOutMasks(): Uint16Array {
    let size = 0;
    for (const layer of this.layers.values()) {
      for (const group of layer.groups()) {
        const key = slotKey(layer, group);
        if (this.#slots.has(key)) continue;
        const { capacity, length } = group;
        this.#slots.set(key, { offset: size, capacity, length, window: layer.window });
        size += capacity;
      }
    }
    const mask = new Uint16Array(size).fill(MASKED);
    for (const { offset, length, window } of this.#slots.values()) {
      mask.fill(VISIBLE, offset + slidOut(length, window), offset + length);
    }
    return mask;
  }

  #kvGroup(layer: LayerCache, group: HeadGroup): KvGroup {
    const { capacity, nHeadKv } = group;
    const row = rowBytes(layer.format.type, layer.headDim);
    const view = (of: Tensor) =>
      this.g.view3d(of, [layer.headDim, capacity, nHeadKv], [row, row * capacity], group.row * row);
    const slot = this.#slots.get(slotKey(layer, group)) as MaskSlot;
    return {
      ...group,
      k: view(layer.k),
      v: view(layer.v),
      mask: () => this.g.view2d(this.#maskTensor, capacity, 1, capacity * 2, slot.offset * 2),
    };
  }
}

function slotKey({ window = 0 }: LayerCache, { capacity, length }: HeadGroup): string {
  return `${capacity}/${length}/${window}`;
}
