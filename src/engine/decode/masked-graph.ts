import type { LastingGraph } from "../../ggml/device.ts";
import type { Graph } from "../../ggml/graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import { readTensor, writeInput, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { LayerMemory } from "../../kvcache/kv-cache.ts";
import { LayerCache } from "../../kvcache/layer-cache.ts";
import type { LayerState } from "../../kvcache/layer-state.ts";
import { headsOfToken, ofToken } from "../../models/blocks/heads.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import { MaskedAttention } from "./masked-attention.ts";
import type { Stage } from "../../models/placement.ts";
import type { DecodeGraph, DecodeStep, Sequence, StageData } from "./sequence.ts";

interface SequenceState extends Sequence {
  /** What it holds, by the layers' numbers. */
  readonly held: ReadonlyMap<number, LayerMemory>;
  readonly attention: MaskedAttention;
  /** Where the ring keeps this step's queries: i32 [1]. */
  readonly ringRow: Tensor | undefined;
}

/** The graph's inputs and results. */
interface Parts {
  readonly states: readonly SequenceState[];
  /** i32 [n] */
  readonly tokens: Tensor;
  /** Hidden states f32 [nEmbd, n]; none where the tokens' embeddings are looked up first. */
  readonly hidden: Tensor | undefined;
  /** i32 [n] */
  readonly positions: Tensor;
  /** Logits f32 [nVocab, n], or hidden states. */
  readonly output: Tensor;
}

/**
 * Decoding with ggml's operations, of just these sequences: the weights are read once for all, and each attends to its
 * own cache. It is rebuilt when other sequences come, or when a cache moved to other memory.
 */
export class MaskedGraph extends NativeOwner implements DecodeGraph {
  readonly #graph: LastingGraph<Parts>;

  constructor(
    model: Model,
    private readonly stage: Stage,
    sequences: readonly Sequence[],
  ) {
    super();
    const n = sequences.length;
    const layers = model.layers.slice(stage.first, stage.end);
    const perLayer = layers.map(
      ({ ffn, nHeadKv }) => 144 + 4 * ffn.nExpertUsed + n * (32 + 8 * nHeadKv),
    );
    const nodes = perLayer.reduce((a, b) => a + b, 64 + 16 * n);
    this.#graph = stage.device.lasting((g) => build(g, model, stage, sequences), nodes);
  }

  /** Whether it reads the memory that these sequences' caches are in, and all of their tokens. */
  fits(sequences: readonly Sequence[]): boolean {
    return (
      sequences.length === this.#graph.parts.states.length &&
      this.#graph.parts.states.every(({ cache, held, attention }, i) => {
        if (sequences[i]?.cache !== cache || !attention.isCurrent) return false;
        return [...held].every(([il, memory]) => memory === cache.held(il));
      })
    );
  }

  /** Whether it reads the caches of this sequence, among others. */
  reads({ cache }: Sequence): boolean {
    return this.#graph.parts.states.some((state) => state.cache === cache);
  }

  async step(steps: readonly DecodeStep[], { input, outputs }: StageData): Promise<number> {
    this.assertAlive();
    const computeMs = await this.stage.device.compute(this.#graph, () =>
      this.#prepare(steps, input),
    );
    const { output } = this.#graph.parts;
    outputs.forEach((column, i) => readTensor(output, column, i * column.byteLength));
    return computeMs;
  }

  #prepare(steps: readonly DecodeStep[], hidden: Float32Array | undefined): number {
    const { parts } = this.#graph;
    const numbers = (of: (step: DecodeStep) => number) => Int32Array.from(steps, of);
    writeInput(
      parts.tokens,
      numbers(({ token }) => token),
    );
    writeInput(
      parts.positions,
      numbers(({ position }) => position),
    );
    if (parts.hidden !== undefined && hidden !== undefined) writeInput(parts.hidden, hidden);
    parts.states.forEach(({ attention, ring, ringRow }) => {
      attention.prepare();
      if (ringRow !== undefined) writeInput(ringRow, Int32Array.of(ring?.nextRow ?? 0));
    });
    return 0;
  }

  protected release(): void {
    this.#graph[Symbol.dispose]();
  }
}

function build(
  g: Graph,
  model: Model,
  { first, end, embeds, givesLogits }: Stage,
  sequences: readonly Sequence[],
): Parts {
  const n = sequences.length;
  const tokens = g.input({ type: TYPES.i32, shape: [n] });
  const hidden = embeds ? undefined : g.input({ type: TYPES.f32, shape: [model.hp.nEmbd, n] });
  const positions = g.input({ type: TYPES.i32, shape: [n] });
  const states = sequences.map(({ cache, ring }, i): SequenceState => {
    const held = new Map<number, LayerMemory>();
    for (let il = first; il < end; il++) held.set(il, cache.held(il) as LayerMemory);
    const layers = new Map([...held].filter(isCache));
    const ringRow = ring && g.input({ type: TYPES.i32, shape: [1] });
    return {
      cache,
      ring,
      held,
      attention: new MaskedAttention(g, model, layers, g.view1d(positions, 1, 4 * i)),
      ringRow,
    };
  });
  let x = hidden ?? model.graph.embed(g, tokens);
  for (let il = first; il < end; il++) {
    const { recurrence, sharesKvOf } = model.layers[il] as ModelLayer;
    if (recurrence !== undefined) {
      const own = states.map(({ held }) => (held.get(il) as LayerState).tensors);
      const mixed = model.graph.mix(
        g,
        il,
        x,
        own.map((tensors) => ({ before: tensors, after: tensors })),
      );
      x = model.graph.finishLayer(g, il, x, mixed, { tokens });
      continue;
    }
    if (sharesKvOf !== undefined) {
      const queries = model.graph.queries(g, il, x);
      const attended = states.map(({ attention }, i) =>
        attention.attend(il, ofToken(g, queries, i)),
      );
      x = model.graph.finishLayer(g, il, x, sideBySide(g, attended), { tokens });
      continue;
    }
    const batch = model.graph.queryKeyValue(g, il, x, positions);
    const attended = states.map(({ ring, attention, ringRow }, i) => {
      const qkv = headsOfToken(g, batch, i);
      ring?.capture(g, il, qkv.q, ringRow as Tensor);
      return attention.append(il, qkv);
    });
    const { gate } = batch;
    x = model.graph.finishLayer(g, il, x, sideBySide(g, attended), { gate, tokens });
  }
  return {
    tokens,
    hidden,
    positions,
    states,
    output: g.output(givesLogits ? model.graph.logits(g, x) : x),
  };
}

function isCache(entry: [number, LayerMemory]): entry is [number, LayerCache] {
  return entry[1] instanceof LayerCache;
}

/** Columns as one tensor, joined in pairs. */
function sideBySide(g: Graph, columns: readonly Tensor[]): Tensor {
  const [first, ...others] = columns as [Tensor, ...Tensor[]];
  if (others.length === 0) return first;
  const half = Math.ceil(columns.length / 2);
  return g.concat(sideBySide(g, columns.slice(0, half)), sideBySide(g, columns.slice(half)), 1);
}
