import type { Executor, InputGraph } from "../ggml/executor.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { readTensor, TensorBuffer, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import { captureRows } from "./captured-rows.ts";
import type { Chunk } from "./chunks.ts";

/** Attention weights are computed in blocks of at most so many bytes. */
const BLOCK_BYTES = 32 * 1024 * 1024;

/** What one kv head's query heads attend to. */
export interface HeadAttention {
  /** Weights of each chosen query over all keys, which sum to 1; 0 for keys after it: f32 [n, queries, group]. */
  readonly weights: Float32Array;
  /** What attention gives each of them: f32 [headDim, queries, group]. */
  readonly outputs: Float32Array;
}

/** One layer as chosen queries see it, while a prompt is read. Of use only until the next layer is read. */
export interface LayerAttention {
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
  /** In f32 throughout, whatever the model's own attention is computed with. */
  attention(kvHead: number): Promise<HeadAttention>;
  /** Rotated queries: f32 [headDim, queries, group]. */
  asked(kvHead: number): Float32Array;
  /** Rotated keys: f32 [headDim, n]. */
  keys(kvHead: number): Float32Array;
  /** f32 [headDim, n] */
  values(kvHead: number): Float32Array;
}

/** Keeps a layer's queries of chosen tokens, and computes their attention once the layer's keys are there. */
export class AttentionWatch extends NativeOwner {
  readonly #buffer: TensorBuffer;

  constructor(
    private readonly executor: Executor,
    private readonly hp: HyperParameters,
    /** Indices of tokens of the prompt, ascending. */
    private readonly queries: Int32Array,
    private readonly onLayer: (layer: LayerAttention) => void | Promise<void>,
  ) {
    super();
    const shape = [hp.headDim * hp.nHead, queries.length];
    this.#buffer = new TensorBuffer(executor.backend.bufferType, [{ type: TYPES.f32, shape }]);
  }

  get #rows(): Tensor {
    this.assertAlive();
    return this.#buffer.tensors[0] as Tensor;
  }

  /** Copies the chosen ones of a chunk's rotated queries, f32 [headDim, nHead, n]. */
  capture(g: InputGraph, q: Tensor, chunk: Chunk): void {
    const from = g.reshape(g.contiguous(q), this.hp.headDim * this.hp.nHead, chunk.n);
    captureRows(g, this.queries, chunk, [{ from, into: this.#rows }]);
  }

  /** Shows a layer whose keys and values, of `n` tokens, lie in the scratch. */
  async show(il: number, scratch: PrefillScratch, n: number): Promise<void> {
    const { headDim, nHead, nHeadKv, attentionScale: scale } = this.hp;
    const { queries } = this;
    const rows = (of: "k" | "v") => (kvHead: number) => scratch.read(scratch[of], kvHead, 0, n);
    await this.onLayer({
      ...{ il, n, nHeadKv, headDim, queries, scale, group: nHead / nHeadKv },
      attention: (kvHead) => this.#attention(scratch, kvHead, n),
      asked: (kvHead) => this.#asked(kvHead),
      ...{ keys: rows("k"), values: rows("v") },
    });
  }

  async #attention(scratch: PrefillScratch, kvHead: number, n: number): Promise<HeadAttention> {
    const { headDim, nHead, nHeadKv } = this.hp;
    const group = nHead / nHeadKv;
    const nQueries = this.queries.length;
    const weights = new Float32Array(n * nQueries * group);
    const outputs = new Float32Array(headDim * nQueries * group);
    const block = Math.max(1, Math.floor(BLOCK_BYTES / (n * group * 4)));
    for (let first = 0; first < nQueries; first += block) {
      const count = Math.min(block, nQueries - first);
      await this.executor.run((g) => {
        const made = this.#block(g, scratch, { kvHead, n, first, count });
        return () => {
          // Of each query head in turn.
          for (let h = 0; h < group; h++) {
            const at = (width: number) => [
              (h * nQueries + first) * width,
              (h * nQueries + first + count) * width,
            ];
            const read = (t: Tensor, all: Float32Array, width: number) =>
              readTensor(t, all.subarray(...at(width)), h * count * width * 4);
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
    scratch: PrefillScratch,
    { kvHead, n, first, count }: { kvHead: number; n: number; first: number; count: number },
  ): { weights: Tensor; outputs: Tensor } {
    const { headDim, nHead, nHeadKv, attentionScale } = this.hp;
    const group = nHead / nHeadKv;
    const row = headDim * 4;
    const q = g.view3d(
      this.#rows,
      [headDim, count, group],
      [row * nHead, row],
      (first * nHead + kvHead * group) * row,
    );
    const own = (of: Tensor) => g.cast(scratch.view(g, of, 0, n, kvHead, 1), TYPES.f32); // [headDim, n]
    const mask = new Float32Array(n * count);
    for (let i = 0; i < count; i++) {
      mask.fill(-Infinity, i * n + (this.queries[first + i] as number) + 1, (i + 1) * n);
    }
    const unseen = g.constant(TYPES.f32, [n, count], mask);
    const logits = g.mulMat(own(scratch.k), g.contiguous(q)); // [n, count, group]
    const weights = g.output(g.softMaxScaled(logits, attentionScale, unseen));
    const values = g.contiguous(g.permute(own(scratch.v), 1, 0, 2, 3)); // [n, headDim]
    return { weights, outputs: g.output(g.mulMat(values, weights)) };
  }

  #asked(kvHead: number): Float32Array {
    const { headDim, nHead, nHeadKv } = this.hp;
    const group = nHead / nHeadKv;
    const nQueries = this.queries.length;
    const all = readTensor(this.#rows, new Float32Array(headDim * nHead * nQueries));
    const out = new Float32Array(headDim * nQueries * group);
    for (let h = 0; h < group; h++) {
      for (let i = 0; i < nQueries; i++) {
        const from = (i * nHead + kvHead * group + h) * headDim;
        out.set(all.subarray(from, from + headDim), (h * nQueries + i) * headDim);
      }
    }
    return out;
  }

  protected release(): void {
    this.#buffer[Symbol.dispose]();
  }
}
