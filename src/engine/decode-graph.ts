import { GraphAllocator } from "../ggml/backend.ts";
import type { Executor } from "../ggml/executor.ts";
import { Graph } from "../ggml/graph.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { readTensor, writeTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { KvCache } from "../kvcache/kv-cache.ts";
import type { LayerCache } from "../kvcache/layer-cache.ts";
import type { Model } from "../models/model.ts";
import type { DecodeAttention } from "./decode-attention.ts";
import { KernelDecode } from "./kernel-decode.ts";
import { MaskedDecode } from "./masked-decode.ts";
import type { Recompression } from "./recompression.ts";

/**
 * One decode step as a graph that is built once and reused: every layer appends the token to its own
 * cache and attends to that. It is rebuilt only when a cache moved to larger memory.
 */
export class DecodeGraph extends NativeOwner {
  readonly #graph: Graph;
  readonly #allocator: GraphAllocator;
  readonly #layers: readonly LayerCache[];
  readonly #token: Tensor;
  readonly #attention: DecodeAttention;
  readonly #logits: Tensor;
  /** Where recompression keeps this step's queries: i32 [1]. */
  readonly #ringRow: Tensor | undefined;

  constructor(
    model: Model,
    private readonly executor: Executor,
    cache: KvCache,
    private readonly recompression?: Recompression,
  ) {
    super();
    const { hp } = model;
    this.#layers = [...cache.layers];
    const maxNodes = hp.nLayer * (72 + 8 * hp.nHeadKv + 4 * hp.nExpertUsed) + 64;
    const g = new Graph(maxNodes, executor.kernels);
    this.#graph = g;
    this.#token = g.input({ type: TYPES.i32, shape: [1] });
    const Attention = executor.kernels?.attends(hp) === true ? KernelDecode : MaskedDecode;
    this.#attention = new Attention(g, model, this.#layers);

    if (recompression !== undefined) this.#ringRow = g.input({ type: TYPES.i32, shape: [1] });
    let x = model.graph.embed(g, this.#token);
    for (let il = 0; il < hp.nLayer; il++) {
      const qkv = model.graph.queryKeyValue(g, il, x);
      recompression?.capture(g, il, qkv.q, this.#ringRow as Tensor);
      const attended = this.#attention.attend(il, qkv);
      x = model.graph.finishLayer(g, il, x, attended);
    }
    this.#logits = g.output(model.graph.logits(g, x));
    this.#allocator = new GraphAllocator(executor.backend);
    this.#allocator.allocate(g);
  }

  /** Whether it stays right when tokens are evicted within the memory that it reads. */
  get survivesEviction(): boolean {
    return this.#attention.survivesEviction;
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
    writeTensor(this.#token, Int32Array.of(token));
    this.#attention.prepare(position);
    if (this.#ringRow !== undefined) {
      writeTensor(this.#ringRow, Int32Array.of(this.recompression?.nextRow ?? 0));
    }
    const before = performance.now();
    await this.executor.compute(this.#graph);
    const computeMs = performance.now() - before;
    readTensor(this.#logits, into);
    for (const layer of this.#layers) for (const head of layer.heads) head.append(position);
    this.recompression?.stepped(position);
    return computeMs;
  }

  protected release(): void {
    this.#allocator[Symbol.dispose]();
    this.#graph[Symbol.dispose]();
  }
}
