import type { Executor, InputGraph } from "../ggml/executor.ts";
import type { Graph } from "../ggml/graph.ts";
import { ROPE_NEOX } from "../ggml/kernels/kernels.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { readTensor, TensorBuffer, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import { joinHeads, type QueryKeyValue } from "../models/blocks/heads.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import type { Model } from "../models/model.ts";
import { chunksOf, type Chunk } from "./chunks.ts";

/** Positions whose rotation is computed at a time. */
const TABLE_CHUNK = 4096;

/**
 * (1, 0) pairs, `n` times f32 [headDim]. Rotated, they are the cosines and sines of their positions, just as
 * ggml computes them: with frequency factors, YaRN and all.
 */
export function unitPairs({ headDim, rope }: HyperParameters, n: number): Float32Array {
  const half = rope.dims / 2;
  const pairs = new Float32Array(headDim * n);
  for (let i = 0; i < n; i++) {
    for (let pair = 0; pair < half; pair++) {
      pairs[i * headDim + (rope.mode === ROPE_NEOX ? pair : 2 * pair)] = 1;
    }
  }
  return pairs;
}

/** Rotates the queries and keys of a prefill's chunks and puts keys and values where they are kept. */
export class Rotation extends NativeOwner {
  /** With our own kernels: f32 [headDim, n], the rotation of each new token. Computed once for all layers. */
  #table: TensorBuffer | undefined;

  private constructor(
    private readonly model: Model,
    private readonly positions: Int32Array,
  ) {
    super();
  }

  /** For tokens at these positions, in the order of their rows. */
  static async create(executor: Executor, model: Model, positions: Int32Array): Promise<Rotation> {
    const rotation = new Rotation(model, positions);
    const { hp } = model;
    if (executor.kernels?.attends(hp) !== true) return rotation;
    const n = positions.length;
    const spec = { type: TYPES.f32, shape: [hp.headDim, n] };
    rotation.#table = new TensorBuffer(executor.backend.bufferType, [spec]);
    try {
      for (const chunk of chunksOf(n, TABLE_CHUNK)) await rotation.#fill(executor, chunk);
    } catch (error) {
      rotation[Symbol.dispose]();
      throw error;
    }
    return rotation;
  }

  #fill(executor: Executor, { first, n }: Chunk): Promise<void> {
    const { hp, graph } = this.model;
    return executor.run((g) => {
      const pairs = g.constant(TYPES.f32, [hp.headDim, 1, n], unitPairs(hp, n));
      const positions = g.constant(TYPES.i32, [n], this.positions.slice(first, first + n));
      const turned = g.reshape(graph.rotate(g, pairs, positions), hp.headDim, n);
      g.expand(g.copy(turned, this.#rows(g, first, n)));
      return () => undefined;
    });
  }

  #rows(g: InputGraph, first: number, n: number): Tensor {
    const table = this.#table?.tensors[0] as Tensor;
    return g.rows(table, TYPES.f32, this.model.hp.headDim, first, n);
  }

  /**
   * Adds the nodes of one chunk. `k` and `v` are f16 [headDim, n, nHeadKv].
   *
   * @returns the queries, rotated: f32 [headDim, nHead, n]
   */
  store(
    g: InputGraph,
    qkv: QueryKeyValue,
    { row: first, n }: Chunk,
    { k, v }: { readonly k: Tensor; readonly v: Tensor },
  ): Tensor {
    this.assertAlive();
    const { hp } = this.model;
    if (g.kernels !== undefined && this.#table !== undefined) {
      const table = this.#rows(g, first, n);
      const q = g.kernels.rotate(g, { qkv: joinHeads(g, qkv), table, k, v }, hp);
      g.expand(q);
      return q;
    }
    const positions = g.constant(TYPES.i32, [n], this.positions.slice(first, first + n));
    const rotate = (heads: Tensor) => this.model.graph.rotate(g, heads, positions);
    const byHead = (g: Graph, t: Tensor) => g.permute(t, 0, 2, 1, 3); // [headDim, n, heads]
    g.expand(g.copy(byHead(g, rotate(qkv.k)), k));
    g.expand(g.copy(byHead(g, qkv.v), v));
    return rotate(qkv.q);
  }

  protected release(): void {
    this.#table?.[Symbol.dispose]();
  }
}

/** The rotation of the next `n` positions, averaged: (cos, sin) where a rotated pair has them, [headDim]. */
export function meanRotation(
  executor: Executor,
  { hp, graph }: Model,
  first: number,
  n: number,
): Promise<Float32Array> {
  return executor.run((g) => {
    const pairs = g.constant(TYPES.f32, [hp.headDim, 1, n], unitPairs(hp, n));
    const positions = Int32Array.from({ length: n }, (_, i) => first + i);
    const table = g.output(graph.rotate(g, pairs, g.constant(TYPES.i32, [n], positions)));
    return () => {
      const all = readTensor(table, new Float32Array(hp.headDim * n));
      const mean = new Float32Array(hp.headDim);
      all.forEach((x, i) => (mean[i % hp.headDim] = (mean[i % hp.headDim] as number) + x / n));
      return mean;
    };
  });
}
