import type { LastingGraph } from "../../ggml/device.ts";
import type { Pointer } from "../../ggml/ffi.ts";
import type { Graph, RopeParameters } from "../../ggml/graph.ts";
import type { DecodeOperation } from "../../ggml/operations/operations.ts";
import type { QueryKeyValue } from "../../ggml/operations/nodes.ts";
import { joinHeads } from "../../ggml/operations/own.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { hostAddress, readTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import { unitPairs } from "../../models/blocks/rope.ts";
import type { Model, ModelLayer } from "../../models/model.ts";
import type { Stage } from "../../models/placement.ts";
import type { ColumnStates } from "./column-states.ts";
import { SEGMENTS, SegmentTable } from "./segment-table.ts";
import type { DecodeGraph, DecodeStep, StageData } from "./sequence.ts";

/** How a graph's memory is divided: its inputs, which are written before every step. */
interface Inputs {
  /** i32 [n] */
  readonly tokens: Tensor;
  /** Hidden states f32 [nEmbd, n]; none where the tokens' embeddings are looked up first. */
  readonly hidden: Tensor | undefined;
  /** i32 [n] */
  readonly positions: Tensor;
  readonly table: Tensor;
  /** Pairs (1, 0) for each RoPE, to be rotated: f32 [headDim, 1, n]. */
  readonly pairs: ReadonlyMap<RopeParameters, Tensor>;
}

/**
 * Decodes with our own kernels, for up to `columns` sequences: one graph, in which a node a layer rotates, appends and
 * attends for all of them. Its inputs say who is there and where their caches lie, so it is built once, whoever comes and
 * goes; what it computes for one does not depend on the others.
 */
export class KernelGraph extends NativeOwner implements DecodeGraph {
  /** Gives logits f32 [nVocab, n], or hidden states f32 [nEmbd, n]. */
  readonly #graph: LastingGraph<Tensor>;
  readonly #buffer: TensorBuffer;
  readonly #segments: SegmentTable;
  readonly #kinds: readonly LayerKind[];
  readonly #tokens: Int32Array;
  readonly #hidden: Float32Array | undefined;
  readonly #positions: Int32Array;
  readonly #active: Int32Array;
  readonly #table: Uint32Array;

  constructor(
    private readonly model: Model,
    private readonly stage: Stage,
    /** Sequences that it has room for. */
    readonly columns: number,
    /** Of at least as many columns; it outlives the graph. */
    private readonly states: ColumnStates,
  ) {
    super();
    const { device, embeds } = stage;
    const layers = this.#layers;
    this.#segments = new SegmentTable(stage, model.layers, columns);
    this.#kinds = kindsOf(layers);
    const shapes = this.#rotated;
    const i32 = (n: number) => ({ type: TYPES.i32, shape: [n] });
    this.#buffer = device.allocate([
      i32(this.#segments.words),
      i32(columns),
      i32(columns),
      i32(1),
      { type: TYPES.f32, shape: embeds ? [1] : [model.hp.nEmbd, columns] },
      ...shapes.map(({ headDim }) => ({ type: TYPES.f32, shape: [headDim, 1, columns] })),
    ]);
    const [table, tokens, positions, active, hidden, ...pairs] = this.#buffer.tensors as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      ...Tensor[],
    ];
    try {
      this.#table = new Uint32Array(...this.#words(0));
      this.#tokens = new Int32Array(...this.#words(1));
      this.#positions = new Int32Array(...this.#words(2));
      this.#active = new Int32Array(...this.#words(3));
      this.#hidden = embeds ? undefined : new Float32Array(...this.#words(4));
      shapes.forEach((layer, i) => {
        new Float32Array(...this.#words(5 + i)).set(unitPairs(layer, columns));
      });
      const inputs: Inputs = {
        tokens,
        hidden: embeds ? undefined : hidden,
        positions,
        table,
        pairs: new Map(shapes.map(({ rope }, i) => [rope, pairs[i] as Tensor])),
      };
      const nodes = layers.reduce((sum, { ffn }) => sum + 144 + 4 * ffn.nExpertUsed, 128);
      const counted = BigInt(hostAddress(active)) as Pointer;
      this.#graph = device.lasting((g) => this.#build(g, inputs), nodes, counted);
    } catch (error) {
      this.#buffer[Symbol.dispose]();
      throw error;
    }
  }

  async step(steps: readonly DecodeStep[], { input, outputs }: StageData): Promise<number> {
    this.assertAlive();
    const computeMs = await this.stage.device.compute(this.#graph, () =>
      this.#prepare(steps, input),
    );
    this.states.keep(steps);
    outputs.forEach((column, i) => readTensor(this.#graph.parts, column, i * column.byteLength));
    return computeMs;
  }

  /** Writes who is there. @returns bytes of workspace */
  #prepare(steps: readonly DecodeStep[], hidden: Float32Array | undefined): number {
    this.#tokens.fill(0);
    this.#tokens.set(steps.map(({ token }) => token));
    this.#hidden?.fill(0);
    this.#hidden?.set(hidden ?? []);
    this.#positions.fill(0);
    this.#positions.set(steps.map(({ position }) => position));
    this.#active[0] = steps.length;
    this.states.load(steps, this.columns);
    const parts = this.#segments.write(this.#table, steps);
    const bytes = this.#kinds.map(({ layer, places }) => {
      const most = Math.max(...places.map((place) => parts[place] as number));
      return decodeOf(layer).workspaceBytes(layer, most);
    });
    return Math.max(0, ...bytes);
  }

  get #layers(): readonly ModelLayer[] {
    return this.model.layers.slice(this.stage.first, this.stage.end);
  }

  /** A layer for each rotation. */
  get #rotated(): readonly ModelLayer[] {
    const attending = this.#layers.filter(({ recurrence }) => recurrence === undefined);
    return [...new Map(attending.map((layer) => [layer.rope, layer])).values()];
  }

  /** @returns logits or hidden states of all columns */
  #build(g: Graph, inputs: Inputs): Tensor {
    const { model } = this;
    const n = this.columns;
    const tables = this.#rotations(g, inputs);
    const { first, givesLogits } = this.stage;
    const { tokens, hidden } = inputs;
    let x = hidden ?? model.graph.embed(g, tokens);
    /** Keys and values of layers, by the layers' numbers: those that share them put the same ones where they are. */
    const made = new Map<number, Pick<QueryKeyValue, "k" | "v">>();
    this.#layers.forEach((layer, i) => {
      const il = first + i;
      if (layer.recurrence !== undefined) {
        const states = this.states.tensors(g, il, n);
        const mixed = model.graph.mix(g, il, x, [{ before: states, after: states }]);
        x = model.graph.finishLayer(g, il, x, mixed, { tokens });
        return;
      }
      const shared = made.get(layer.sharesKvOf ?? -1);
      const heads: QueryKeyValue =
        shared === undefined
          ? model.graph.queryKeyValue(g, il, x, inputs.positions)
          : { q: model.graph.queries(g, il, x), k: shared.k, v: shared.v };
      made.set(il, heads);
      const view = (words: number, rows: number, offset: number) =>
        g.view3d(inputs.table, [words, SEGMENTS, rows], [4 * words, 4 * words * SEGMENTS], offset);
      const attended = decodeOf(layer).node(
        g,
        {
          qkv: joinHeads(g, heads),
          table: tables.get(layer.rope) as Tensor,
          segments: view(6, layer.nHeadKv * n, this.#segments.segmentsOf(il)),
          columns: g.view2d(inputs.table, 8, n, 32, this.#segments.columnsOf(il)),
        },
        layer,
      );
      x = model.graph.finishLayer(g, il, x, attended, { gate: heads.gate, tokens });
    });
    return g.output(givesLogits ? model.graph.logits(g, x) : x);
  }

  /** The rotations of all columns' positions, by RoPE: f32 [headDim, n]. */
  #rotations(g: Graph, inputs: Inputs): Map<RopeParameters, Tensor> {
    return new Map(
      this.#rotated.map((layer) => {
        const pairs = inputs.pairs.get(layer.rope) as Tensor;
        const il = this.model.layers.indexOf(layer);
        const turned = this.model.graph.rotate(g, il, pairs, inputs.positions);
        return [layer.rope, g.reshape(turned, layer.headDim, this.columns)] as const;
      }),
    );
  }

  /** The memory of tensor `i`, as typed arrays of four bytes take it. */
  #words(i: number): [ArrayBuffer, number, number] {
    const { buffer, byteOffset, byteLength } = this.#buffer.view(i);
    return [buffer as ArrayBuffer, byteOffset, byteLength / 4];
  }

  protected release(): void {
    this.#graph[Symbol.dispose]();
    this.#buffer[Symbol.dispose]();
  }
}

/** Layers that take workspace alike, by their places in the stage. */
interface LayerKind {
  readonly layer: ModelLayer;
  readonly places: number[];
}

function kindsOf(layers: readonly ModelLayer[]): LayerKind[] {
  const kinds = new Map<string, LayerKind>();
  layers.forEach((layer, place) => {
    if (layer.recurrence !== undefined) return;
    const key = [layer.headDim, layer.nHead, layer.nHeadKv].join();
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, { layer, places: [place] });
    else kind.places.push(place);
  });
  return [...kinds.values()];
}

function decodeOf({ operations }: ModelLayer): DecodeOperation {
  return operations.decode as DecodeOperation;
}
