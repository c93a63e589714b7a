import type { InputGraph } from "../../ggml/input-graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { readTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import { softmaxOf } from "../../models/blocks/attention.ts";
import type { HyperParameters } from "../../models/hyper-parameters.ts";
import { captureRows } from "./captured-rows.ts";
import type { Chunk, LayerObserver, ReadLayer } from "./layer-observer.ts";

/** Most bytes of attention weights that are computed at once. */
const BLOCK_BYTES = 32 * 1024 * 1024;

/** What one kv head's query heads attend to. */
export interface HeadAttention {
  /** Weights of each chosen query over all keys; they sum to 1, or less where a sink logit takes some; 0 for keys after it: f32 [n, queries, group]. */
  readonly weights: Float32Array;
  /** What attention gives each of them: f32 [headDim, queries, group]. */
  readonly outputs: Float32Array;
}

/** One layer as chosen queries see it, while a prompt is read. Of use only until the next layer is read. */
export interface LayerAttention {
  /** Which of the layers that methods act on. */
  readonly il: number;
  /** Tokens of the prompt. */
  readonly n: number;
  readonly nHeadKv: number;
  /** Query heads of a kv head. */
  readonly group: number;
  readonly headDim: number;
  /** Indices of the chosen queries' tokens, ascending. */
  readonly queries: Int32Array;
  /** What a product of a query and a key is multiplied with. */
  readonly scale: number;
  /** Attention in f32 throughout, whatever the model's own is computed with. */
  attention(kvHead: number): Promise<HeadAttention>;
  /** Rotated queries: f32 [headDim, queries, group]. */
  asked(kvHead: number): Float32Array;
  /** Rotated keys: f32 [headDim, n]. */
  keys(kvHead: number): Float32Array;
  /** f32 [headDim, n] */
  values(kvHead: number): Float32Array;
}

export interface AttentionObserverOptions {
  /** Indices of tokens of the prompt, ascending. */
  readonly queries: Int32Array;
  /** Tokens of the prompt, which no others come before. */
  readonly n: number;
  readonly onLayer: (layer: LayerAttention) => void | Promise<void>;
}

/**
 * Keeps the queries of chosen tokens in the layers that methods act on, and computes their attention once the layer's
 * keys are there.
 */
export class AttentionObserver extends NativeOwner implements LayerObserver {
  #buffer: TensorBuffer | undefined;
  #layer: ReadLayer | undefined;

  constructor(
    private readonly hp: HyperParameters,
    private readonly options: AttentionObserverOptions,
  ) {
    super();
  }

  get #rows(): Tensor {
    this.assertAlive();
    return this.#buffer?.tensors[0] as Tensor;
  }

  get #shape() {
    return (this.#layer as ReadLayer).shape;
  }

  begin(layer: ReadLayer): void {
    const { device } = layer.shape;
    if (device !== this.#layer?.shape.device) {
      this.release();
      const shape = [this.hp.headDim * this.hp.nHead, this.options.queries.length];
      this.#buffer = device.allocate([{ type: TYPES.f32, shape }]);
    }
    this.#layer = layer;
  }

  onRotated(g: InputGraph, q: Tensor, chunk: Chunk): void {
    const { headDim, nHead } = this.#shape;
    const from = g.reshape(g.contiguous(q), headDim * nHead, chunk.n);
    captureRows(g, this.options.queries, chunk, [{ from, into: this.#rows }]);
  }

  async afterLayer({ il, shape, scratch }: ReadLayer): Promise<void> {
    const { headDim, nHead, nHeadKv, scale } = shape;
    const { n, queries, onLayer } = this.options;
    await onLayer({
      il: this.hp.compressible.indexOf(il),
      n,
      nHeadKv,
      headDim,
      queries,
      scale,
      group: nHead / nHeadKv,
      attention: (kvHead) => this.#attention(kvHead),
      asked: (kvHead) => this.#asked(kvHead),
      keys: (kvHead) => scratch.read("k", kvHead, 0, n),
      values: (kvHead) => scratch.read("v", kvHead, 0, n),
    });
  }

  async #attention(kvHead: number): Promise<HeadAttention> {
    const { headDim, nHead, nHeadKv } = this.#shape;
    const { n, queries } = this.options;
    const group = nHead / nHeadKv;
    const nQueries = queries.length;
    const weights = new Float32Array(n * nQueries * group);
    const outputs = new Float32Array(headDim * nQueries * group);
    const block = Math.max(1, Math.floor(BLOCK_BYTES / (n * group * 4)));
    for (let first = 0; first < nQueries; first += block) {
      const count = Math.min(block, nQueries - first);
      await this.#shape.device.run((g) => {
        const made = this.#block(g, kvHead, first, count);
        return () => {
          // Of each query head in turn.
          for (let h = 0; h < group; h++) {
            const at = (width: number) => [
              (h * nQueries + first) * width,
              (h * nQueries + first + count) * width,
            ];
            const read = (t: Tensor, values: Float32Array, width: number) =>
              readTensor(t, values.subarray(...at(width)), h * count * width * 4);
            read(made.weights, weights, n);
            read(made.outputs, outputs, headDim);
          }
        };
      });
    }
    return { weights, outputs };
  }

  #block(
    g: InputGraph,
    kvHead: number,
    first: number,
    count: number,
  ): { weights: Tensor; outputs: Tensor } {
    const { scratch, shape } = this.#layer as ReadLayer;
    const { headDim, nHead, nHeadKv, scale, softcap } = shape;
    const { n, queries } = this.options;
    const group = nHead / nHeadKv;
    const row = headDim * 4;
    const q = g.view3d(
      this.#rows,
      [headDim, count, group],
      [row * nHead, row],
      (first * nHead + kvHead * group) * row,
    );
    const head = { firstHead: kvHead, nHeadKv: 1, nPast: 0 };
    const keys = g.cast(scratch.keys(g, head, n), TYPES.f32); // [headDim, n]
    const values = g.cast(scratch.values(g, head, n), TYPES.f32);
    const mask = new Float32Array(n * count);
    for (let i = 0; i < count; i++) {
      mask.fill(-Infinity, i * n + (queries[first + i] as number) + 1, (i + 1) * n);
    }
    const unseen = g.constant(TYPES.f32, [n, count], mask);
    const products = g.mulMat(keys, g.contiguous(q)); // [n, count, group]
    const logits = softcap === undefined ? products : g.softCap(products, scale, softcap);
    const { sinkLogits } = softmaxOf(g, head, shape);
    const weights = g.output(
      g.softMaxScaled(logits, softcap === undefined ? scale : 1, { mask: unseen, sinkLogits }),
    );
    const columns = g.contiguous(g.permute(values, 1, 0, 2, 3)); // [n, headDim]
    return { weights, outputs: g.output(g.mulMat(columns, weights)) };
  }

  #asked(kvHead: number): Float32Array {
    const { headDim, nHead, nHeadKv } = this.#shape;
    const group = nHead / nHeadKv;
    const nQueries = this.options.queries.length;
    const queries = readTensor(this.#rows, new Float32Array(headDim * nHead * nQueries));
    const out = new Float32Array(headDim * nQueries * group);
    for (let h = 0; h < group; h++) {
      for (let i = 0; i < nQueries; i++) {
        const from = (i * nHead + kvHead * group + h) * headDim;
        out.set(queries.subarray(from, from + headDim), (h * nQueries + i) * headDim);
      }
    }
    return out;
  }

  protected release(): void {
    this.#buffer?.[Symbol.dispose]();
    this.#buffer = undefined;
  }
}
