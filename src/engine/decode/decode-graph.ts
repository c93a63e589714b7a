import { GraphAllocator } from "../../ggml/backend.ts";
import type { Executor } from "../../ggml/executor.ts";
import { Graph } from "../../ggml/graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import { readTensor, writeTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { KvCache } from "../../kvcache/kv-cache.ts";
import type { LayerCache } from "../../kvcache/layer-cache.ts";
import { headsOfToken } from "../../models/blocks/heads.ts";
import type { Model } from "../../models/model.ts";
import type { DecodeAttention } from "./decode-attention.ts";
import { KernelDecode } from "./kernel-decode.ts";
import { MaskedDecode } from "./masked-decode.ts";
import type { QueryRing } from "../observe/query-ring.ts";

/** One of the sequences that decode together. */
export interface Sequence {
  readonly cache: KvCache;
  /** Keeps the queries of what is decoded, where it is compressed again. */
  readonly ring?: QueryRing | undefined;
}

/** A sequence's next token. */
export interface DecodeStep {
  readonly token: number;
  readonly position: number;
  /** Receives what follows: f32 [nVocab]. */
  readonly logits: Float32Array;
}

interface SequenceState extends Sequence {
  readonly layers: readonly LayerCache[];
  readonly attention: DecodeAttention;
  /** Where the ring keeps this step's queries: i32 [1]. */
  readonly ringRow: Tensor | undefined;
}

/**
 * One decode step of one or more sequences as a graph that is built once and reused: every layer appends each
 * sequence's token to its own cache and attends to that, and the weights are read once for all. It is rebuilt only
 * when a cache moved to other memory.
 */
export class DecodeGraph extends NativeOwner {
  readonly #graph: Graph;
  readonly #allocator: GraphAllocator;
  readonly #sequences: readonly SequenceState[];
  /** i32 [n] */
  readonly #tokens: Tensor;
  /** f32 [nVocab, n] */
  readonly #logits: Tensor;

  constructor(
    model: Model,
    private readonly executor: Executor,
    sequences: readonly Sequence[],
  ) {
    super();
    const { hp } = model;
    const n = sequences.length;
    const perLayer = model.layers.map(
      ({ ffn, nHeadKv }) => 64 + 4 * ffn.nExpertUsed + n * (16 + 8 * nHeadKv),
    );
    const nodes = perLayer.reduce((a, b) => a + b, 64 + 16 * n);
    const g = new Graph(nodes, executor.kernels);
    this.#graph = g;
    this.#tokens = g.input({ type: TYPES.i32, shape: [n] });
    const isOurs = model.layers.every((layer) => executor.kernels?.attends(layer) === true);
    const Attention = isOurs ? KernelDecode : MaskedDecode;
    this.#sequences = sequences.map(({ cache, ring }) => {
      const layers = [...cache.layers];
      const ringRow = ring && g.input({ type: TYPES.i32, shape: [1] });
      return { cache, ring, layers, attention: new Attention(g, model, layers), ringRow };
    });

    let x = model.graph.embed(g, this.#tokens);
    for (let il = 0; il < hp.nLayer; il++) {
      const all = model.graph.queryKeyValue(g, il, x);
      const attended = this.#sequences.map(({ ring, attention, ringRow }, i) => {
        const qkv = headsOfToken(g, all, i);
        ring?.capture(g, il, qkv.q, ringRow as Tensor);
        return attention.attend(il, qkv);
      });
      x = model.graph.finishLayer(g, il, x, sideBySide(g, attended));
    }
    this.#logits = g.output(model.graph.logits(g, x));
    this.#allocator = new GraphAllocator(executor.backend);
    this.#allocator.allocate(g);
  }

  /** Whether the graph still reads the memory that these sequences' caches are in, and all of their tokens. */
  fits(sequences: readonly Sequence[]): boolean {
    return (
      sequences.length === this.#sequences.length &&
      this.#sequences.every(({ cache, layers, attention }, i) => {
        const current = sequences[i]?.cache === cache && attention.isCurrent;
        return current && layers.every((layer, il) => layer === cache.layers[il]);
      })
    );
  }

  /**
   * Appends one token of each sequence to every layer and computes the logits after it.
   *
   * @returns milliseconds spent inside ggml
   */
  async step(steps: readonly DecodeStep[]): Promise<number> {
    this.assertAlive();
    writeTensor(
      this.#tokens,
      Int32Array.from(steps, ({ token }) => token),
    );
    this.#sequences.forEach(({ attention, ring, ringRow }, i) => {
      attention.prepare((steps[i] as DecodeStep).position);
      if (ringRow !== undefined) writeTensor(ringRow, Int32Array.of(ring?.nextRow ?? 0));
    });
    const before = performance.now();
    await this.executor.compute(this.#graph);
    const computeMs = performance.now() - before;
    this.#sequences.forEach(({ layers, ring }, i) => {
      const { position, logits } = steps[i] as DecodeStep;
      readTensor(this.#logits, logits, i * logits.byteLength);
      for (const layer of layers) for (const head of layer.heads) head.append(position);
      ring?.stepped(position);
    });
    return computeMs;
  }

  protected release(): void {
    this.#allocator[Symbol.dispose]();
    this.#graph[Symbol.dispose]();
  }
}

/** Columns as one tensor, joined in pairs. */
function sideBySide(g: Graph, columns: readonly Tensor[]): Tensor {
  const [first, ...others] = columns as [Tensor, ...Tensor[]];
  if (others.length === 0) return first;
  const half = Math.ceil(columns.length / 2);
  return g.concat(sideBySide(g, columns.slice(0, half)), sideBySide(g, columns.slice(half)), 1);
}
