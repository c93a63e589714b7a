import type { Device, LastingGraph } from "../../ggml/device.ts";
import type { Graph } from "../../ggml/graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import { readTensor, writeTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { LayerCache } from "../../kvcache/layer-cache.ts";
import { headsOfToken } from "../../models/blocks/heads.ts";
import type { Model } from "../../models/model.ts";
import { MaskedAttention } from "./masked-attention.ts";
import { noteAppended, type DecodeGraph, type DecodeStep, type Sequence } from "./sequence.ts";

interface SequenceState extends Sequence {
  readonly layers: readonly LayerCache[];
  readonly attention: MaskedAttention;
  /** Where the ring keeps this step's queries: i32 [1]. */
  readonly ringRow: Tensor | undefined;
}

/** The graph's inputs and results. */
interface Parts {
  readonly states: readonly SequenceState[];
  /** i32 [n] */
  readonly tokens: Tensor;
  /** f32 [nVocab, n] */
  readonly logits: Tensor;
}

/**
 * Decoding with ggml's operations, of just these sequences: the weights are read once for all, and each attends to its
 * own cache. It is built anew when other sequences come, or when a cache moved to other memory.
 */
export class MaskedGraph extends NativeOwner implements DecodeGraph {
  readonly #graph: LastingGraph<Parts>;

  constructor(
    model: Model,
    private readonly device: Device,
    sequences: readonly Sequence[],
  ) {
    super();
    const n = sequences.length;
    const perLayer = model.layers.map(
      ({ ffn, nHeadKv }) => 64 + 4 * ffn.nExpertUsed + n * (16 + 8 * nHeadKv),
    );
    const nodes = perLayer.reduce((a, b) => a + b, 64 + 16 * n);
    this.#graph = device.lasting((g) => build(g, model, sequences), nodes);
  }

  /** Whether it reads the memory that these sequences' caches are in, and all of their tokens. */
  fits(sequences: readonly Sequence[]): boolean {
    return (
      sequences.length === this.#graph.parts.states.length &&
      this.#graph.parts.states.every(({ cache, layers, attention }, i) => {
        const isCurrent = sequences[i]?.cache === cache && attention.isCurrent;
        return isCurrent && layers.every((layer, il) => layer === cache.layers[il]);
      })
    );
  }

  /** Whether it reads the caches of this sequence, among others. */
  reads({ cache }: Sequence): boolean {
    return this.#graph.parts.states.some((state) => state.cache === cache);
  }

  async step(steps: readonly DecodeStep[]): Promise<number> {
    this.assertAlive();
    const computeMs = await this.device.compute(this.#graph, () => this.#prepare(steps));
    steps.forEach((step, i) => {
      readTensor(this.#graph.parts.logits, step.logits, i * step.logits.byteLength);
      noteAppended(step);
    });
    return computeMs;
  }

  #prepare(steps: readonly DecodeStep[]): number {
    const tokens = Int32Array.from(steps, ({ token }) => token);
    writeTensor(this.#graph.parts.tokens, tokens);
    this.#graph.parts.states.forEach(({ attention, ring, ringRow }, i) => {
      attention.prepare((steps[i] as DecodeStep).position);
      if (ringRow !== undefined) writeTensor(ringRow, Int32Array.of(ring?.nextRow ?? 0));
    });
    return 0;
  }

  protected release(): void {
    this.#graph[Symbol.dispose]();
  }
}

function build(g: Graph, model: Model, sequences: readonly Sequence[]): Parts {
  const tokens = g.input({ type: TYPES.i32, shape: [sequences.length] });
  const states = sequences.map(({ cache, ring }): SequenceState => {
    const layers = [...cache.layers];
    const ringRow = ring && g.input({ type: TYPES.i32, shape: [1] });
    return { cache, ring, layers, attention: new MaskedAttention(g, model, layers), ringRow };
  });
  let x = model.graph.embed(g, tokens);
  for (let il = 0; il < model.layers.length; il++) {
    const all = model.graph.queryKeyValue(g, il, x);
    const attended = states.map(({ ring, attention, ringRow }, i) => {
      const qkv = headsOfToken(g, all, i);
      ring?.capture(g, il, qkv.q, ringRow as Tensor);
      return attention.attend(il, qkv);
    });
    x = model.graph.finishLayer(g, il, x, sideBySide(g, attended));
  }
  return { tokens, states, logits: g.output(model.graph.logits(g, x)) };
}

/** Columns as one tensor, joined in pairs. */
function sideBySide(g: Graph, columns: readonly Tensor[]): Tensor {
  const [first, ...others] = columns as [Tensor, ...Tensor[]];
  if (others.length === 0) return first;
  const half = Math.ceil(columns.length / 2);
  return g.concat(sideBySide(g, columns.slice(0, half)), sideBySide(g, columns.slice(half)), 1);
}
