import { GraphAllocator } from "../ggml/backend.ts";
import type { Executor } from "../ggml/executor.ts";
import { Graph } from "../ggml/graph.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { readTensor, writeTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import type { KvCache } from "../kvcache/kv-cache.ts";
import type { HeadGroup, LayerCache } from "../kvcache/layer-cache.ts";
import { attention, type KvGroup } from "../models/blocks/attention.ts";
import type { Model } from "../models/model.ts";
import { MASKED, VISIBLE } from "./masks.ts";

/** A stretch of the packed mask: groups of equal length and capacity share one. */
interface MaskSlot {
  readonly offset: number;
  readonly capacity: number;
  length: number;
}

/**
 * One decode step as a graph that is built once and reused: every layer appends the token to its own
 * cache at a row that is an input, then reads that cache through a mask of its own length. It is
 * rebuilt only when a cache moved to larger memory.
 */
export class DecodeGraph extends NativeOwner {
  readonly #graph: Graph;
  readonly #allocator: GraphAllocator;
  readonly #layers: readonly LayerCache[];
  readonly #token: Tensor;
  readonly #position: Tensor;
  readonly #rowIndices: Tensor;
  readonly #maskTensor: Tensor;
  readonly #logits: Tensor;
  readonly #rows: Int32Array;
  readonly #mask: Uint16Array;
  readonly #slots = new Map<string, MaskSlot>();

  constructor(
    model: Model,
    private readonly executor: Executor,
    cache: KvCache,
  ) {
    super();
    const { hp } = model;
    this.#layers = [...cache.layers];
    this.#rows = new Int32Array(hp.nLayer * hp.nHeadKv);
    this.#mask = this.#layOutMasks();

    const g = new Graph(hp.nLayer * (64 + 8 * hp.nHeadKv + 4 * hp.nExpertUsed) + 64);
    this.#graph = g;
    this.#token = g.input({ type: TYPES.i32, shape: [1] });
    this.#position = g.input({ type: TYPES.i32, shape: [1] });
    this.#rowIndices = g.input({ type: TYPES.i32, shape: [this.#rows.length] });
    this.#maskTensor = g.input({ type: TYPES.f16, shape: [this.#mask.length] });

    let x = model.graph.embed(g, this.#token);
    this.#layers.forEach((layer, il) => {
      const { q, k, v } = model.graph.queryKeyValue(g, il, x, this.#position, 1);
      const rows = g.view1d(this.#rowIndices, hp.nHeadKv, il * hp.nHeadKv * 4);
      g.expand(g.setRows(layer.k, g.reshape(k, hp.headDim, hp.nHeadKv), rows));
      g.expand(g.setRows(layer.v, g.reshape(v, hp.headDim, hp.nHeadKv), rows));
      const groups = layer.groups().map((group) => this.#kvGroup(g, layer, group));
      const attended = attention(g, q, groups, { ...hp, n: 1, scale: hp.attentionScale });
      x = model.graph.finishLayer(g, il, x, attended, 1);
    });
    this.#logits = g.output(model.graph.logits(g, x));
    this.#allocator = new GraphAllocator(executor.backend);
    this.#allocator.allocate(g);
  }

  /** Whether the graph still reads the memory that the cache is in. */
  fits(cache: KvCache): boolean {
    const { layers } = cache;
    return layers.length === this.#layers.length && layers.every((l, il) => l === this.#layers[il]);
  }

  /**
   * Appends one token to every layer and computes the logits after it.
   *
   * @param into f32 [nVocab]
   * @returns milliseconds spent inside ggml
   */
  async step(token: number, position: number, into: Float32Array): Promise<number> {
    this.assertAlive();
    this.#advance();
    writeTensor(this.#token, Int32Array.of(token));
    writeTensor(this.#position, Int32Array.of(position));
    writeTensor(this.#rowIndices, this.#rows);
    writeTensor(this.#maskTensor, this.#mask);
    const before = performance.now();
    await this.executor.compute(this.#graph);
    const computeMs = performance.now() - before;
    readTensor(this.#logits, into);
    for (const layer of this.#layers) for (const head of layer.heads) head.append(position);
    return computeMs;
  }

  /** Points each head at its next free row and makes that row visible. */
  #advance(): void {
    let i = 0;
    for (const layer of this.#layers) {
      for (const head of layer.heads) this.#rows[i++] = head.row + head.length;
    }
    for (const slot of this.#slots.values()) this.#mask[slot.offset + slot.length++] = VISIBLE;
  }

  #layOutMasks(): Uint16Array {
    let size = 0;
    for (const { capacity, length } of this.#layers.flatMap((l) => l.groups())) {
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

  #kvGroup(g: Graph, layer: LayerCache, group: HeadGroup): KvGroup {
    const { capacity, length, nHeadKv } = group;
    const row = rowBytes(layer.type, layer.headDim);
    const view = (of: Tensor) =>
      g.view3d(of, [layer.headDim, capacity, nHeadKv], [row, row * capacity], group.row * row);
    const slot = this.#slots.get(slotKey(capacity, length)) as MaskSlot;
    return {
      ...group,
      k: view(layer.k),
      v: view(layer.v),
      mask: g.view2d(this.#maskTensor, capacity, 1, capacity * 2, slot.offset * 2),
    };
  }

  protected release(): void {
    this.#allocator[Symbol.dispose]();
    this.#graph[Symbol.dispose]();
  }
}

function slotKey(capacity: number, length: number): string {
  return `${capacity}/${length}`;
}
