import type { Device } from "../../ggml/device.ts";
import type { InputGraph } from "../../ggml/input-graph.ts";
import type { Graph } from "../../ggml/graph.ts";
import type { Summed } from "../../ggml/operations/nodes.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { readTensor, zeroTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../../ggml/types.ts";
import { queryHeads, type HeadRun } from "../../kvcache/head-runs.ts";
import { queriesOf, softmaxOf } from "../../models/blocks/attention.ts";
import type { Model } from "../../models/model.ts";
import {
  ACCUMULATIONS,
  queriesOfKind,
  within,
  type AccumulatedKind,
  type Span,
} from "./accumulators.ts";
import type { Chunk, LayerObserver, ReadLayer } from "./layer-observer.ts";
import { blockOf, blockScores } from "./scoring.ts";
import type { ObservationSize } from "./target.ts";

/** Scores of all queries are computed in blocks of at most this many bytes of attention weights. */
const BLOCK_BYTES = 16 * 1024 * 1024;

/**
 * Attention that each token receives of all queries of a prompt, or of many. Our own attention gathers it on its way,
 * or in nodes beside it; with ggml's operations it is computed after each chunk.
 */
export class Sums extends NativeOwner implements LayerObserver {
  /** Sums by kind, for each row of the scratch: f32 [rows, nHead]. */
  readonly #received: ReadonlyMap<AccumulatedKind, Tensor>;
  /** The queries of the chunk at hand, f32 [headDim, chunk, nHead], where ggml sums their attention afterwards. */
  readonly #queries: Tensor | undefined;
  readonly #buffer: TensorBuffer | undefined;
  #layer: ReadLayer | undefined;

  constructor(
    private readonly device: Device,
    { hp, layers }: Model,
    kinds: readonly AccumulatedKind[],
    private readonly size: ObservationSize,
  ) {
    super();
    const { headDim, nHead, compressible } = hp;
    const { lengths, chunkTokens } = size;
    const gathers = compressible.every((il) => layers[il]?.operations.gather !== undefined);
    const longest = Math.max(Math.min(lengths.prompt, chunkTokens), lengths.probe);
    const shapes = kinds.map(() => [size.rows, nHead]);
    if (kinds.length > 0 && !gathers) shapes.push([headDim, longest, nHead]);
    const specs = shapes.map((shape) => ({ type: TYPES.f32, shape }));
    this.#buffer = specs.length > 0 ? device.allocate(specs) : undefined;
    const tensors = this.#buffer?.tensors ?? [];
    this.#received = new Map(kinds.map((kind, i) => [kind, tensors[i] as Tensor]));
    this.#queries = tensors[kinds.length];
  }

  begin(layer: ReadLayer): void {
    this.assertAlive();
    this.#layer = layer;
    const bytes = this.size.rows * layer.shape.nHead * 4;
    for (const tensor of this.#received.values()) zeroTensor(tensor, 0, bytes);
  }

  onRotated(g: InputGraph, q: Tensor, chunk: Chunk): void {
    if (this.#queries === undefined) this.#sumBeside(g, q, chunk);
    else if (this.#kindsOf(chunk).length > 0) this.#keep(g, this.#queries, q, chunk);
  }

  alongside(g: InputGraph, run: HeadRun, chunk: Chunk, nKv: number): Summed {
    const kinds = this.#queries === undefined ? this.#alongsideOf(chunk) : [];
    return this.#summed(g, kinds, run, nKv);
  }

  async afterChunk(chunk: Chunk): Promise<void> {
    const queries = this.#queries;
    if (queries === undefined) return;
    const { scratch, shape } = this.#read;
    const longest = Math.max(...scratch.runs.map((run) => run.nPast));
    const perQuery = (longest + chunk.row + chunk.n) * shape.nHead * 4;
    const block = Math.min(chunk.n, Math.max(8, Math.floor(BLOCK_BYTES / perQuery)));
    for (const kind of this.#kindsOf(chunk)) {
      for (const { first, n } of this.#spansOf(kind, chunk)) {
        for (let at = first; at < first + n; at += block) {
          const part = { first: at, n: Math.min(block, first + n - at) };
          await this.device.run(
            (g) => {
              for (const run of scratch.runs) this.#add(g, kind, { run, queries, chunk, part });
              return () => undefined;
            },
            128 + 32 * scratch.runs.length,
          );
        }
      }
    }
  }

  nodesPerHead(chunk: Chunk): number {
    const spans = this.#kindsOf(chunk).map((kind) => this.#spansOf(kind, chunk).length);
    return 16 * spans.reduce((a, b) => a + b, 0);
  }

  /** What the first `n` tokens of a kv head received of its query heads, [n, group]; undefined where it is not gathered. */
  ofHead(kind: AccumulatedKind, kvHead: number, n: number): Float32Array | undefined {
    const tensor = this.#received.get(kind);
    if (tensor === undefined) return undefined;
    const { shape, scratch } = this.#read;
    const group = shape.nHead / shape.nHeadKv;
    const firstRow = scratch.firstRow(scratch.runOf(kvHead));
    const out = new Float32Array(n * group);
    for (let i = 0; i < group; i++) {
      const offset = ((kvHead * group + i) * this.size.rows + firstRow) * 4;
      readTensor(tensor, out.subarray(i * n, (i + 1) * n), offset);
    }
    return out;
  }

  get #read(): ReadLayer {
    return this.#layer as ReadLayer;
  }

  /** The kinds of sums that a chunk's queries add to. */
  #kindsOf(chunk: Chunk): AccumulatedKind[] {
    return [...this.#received.keys()].filter((kind) => ACCUMULATIONS[kind].of === chunk.of);
  }

  /** The kinds of sums that the same of a chunk's queries add to: one pass over the keys gathers them. */
  #alikeOf(chunk: Chunk): AccumulatedKind[][] {
    const alike = new Map<number, AccumulatedKind[]>();
    for (const kind of this.#kindsOf(chunk)) {
      const { share } = ACCUMULATIONS[kind];
      alike.set(share, [...(alike.get(share) ?? []), kind]);
    }
    return [...alike.values()];
  }

  /** The kinds that attention itself gathers on its way: those that all queries add to. */
  #alongsideOf(chunk: Chunk): AccumulatedKind[] {
    if (!this.#read.attendsWhole) return [];
    return this.#kindsOf(chunk).filter((kind) => ACCUMULATIONS[kind].share === 1);
  }

  /** Which of a chunk's queries add to sums of a kind, counted from its first. */
  #spansOf(kind: AccumulatedKind, chunk: Chunk): Span[] {
    if (chunk.of === "probe") return [{ first: 0, n: chunk.n }];
    return within(queriesOfKind(kind, this.size.lengths.prompt), chunk.first, chunk.n);
  }

  /** The sums of a run's first `nKv` tokens: f32 [nKv, nHead of the run]. */
  #sumsOf(g: Graph, kind: AccumulatedKind, run: HeadRun, nKv: number): Tensor {
    const { shape, scratch } = this.#read;
    const { rows } = this.size;
    const group = shape.nHead / shape.nHeadKv;
    const offset = (run.firstHead * group * rows + scratch.firstRow(run)) * 4;
    const tensor = this.#received.get(kind) as Tensor;
    return g.view2d(tensor, nKv, queryHeads(run, shape), rows * 4, offset);
  }

  /** Where these kinds of sums, which the same queries add to, are gathered. */
  #summed(g: Graph, kinds: readonly AccumulatedKind[], run: HeadRun, nKv: number): Summed {
    const sums = kinds.map((kind) => {
      return { into: this.#sumsOf(g, kind, run, nKv), distance: ACCUMULATIONS[kind].distance };
    });
    return { sums, peaks: kinds.some((kind) => ACCUMULATIONS[kind].peaks) };
  }

  /** With our own operations: one node a run of heads for the kinds of sums that attention itself does not gather. */
  #sumBeside(g: InputGraph, q: Tensor, chunk: Chunk): void {
    const { scratch, shape } = this.#read;
    const row = rowBytes(TYPES.f32, shape.headDim * shape.nHead);
    const alongside = this.#alongsideOf(chunk);
    for (const kinds of this.#alikeOf(chunk)) {
      const [kind] = kinds as [AccumulatedKind];
      if (alongside.includes(kind)) continue;
      for (const { first, n } of this.#spansOf(kind, chunk)) {
        const size = [shape.headDim, shape.nHead, n] as const;
        const queries = g.view3d(q, size, [shape.headDim * 4, row], first * row);
        for (const run of scratch.runs) {
          const nKv = run.nPast + chunk.row + first + n;
          const node = {
            q: queriesOf(g, queries, run, { ...shape, n }),
            k: scratch.keys(g, run, nKv),
            ...softmaxOf(g, run, shape),
            ...this.#summed(g, kinds, run, nKv),
          };
          shape.operations.gather?.(g, node);
        }
      }
    }
  }

  /** Keeps a chunk's queries for later. */
  #keep(g: InputGraph, queries: Tensor, q: Tensor, { n }: Chunk): void {
    const { shape } = this.#read;
    const row = shape.headDim * 4;
    const into = g.view3d(queries, [shape.headDim, n, shape.nHead], [row, row * n], 0);
    g.expand(g.copy(blockOf(g, q, shape, 0, n), into));
  }

  /** With ggml's operations: adds the attention of a part of a chunk's queries to the sums of a run. */
  #add(
    g: InputGraph,
    kind: AccumulatedKind,
    {
      run,
      queries,
      chunk,
      part,
    }: {
      readonly run: HeadRun;
      readonly queries: Tensor;
      readonly chunk: Chunk;
      readonly part: Span;
    },
  ): void {
    const rule = ACCUMULATIONS[kind];
    const nPast = run.nPast + chunk.row + part.first;
    // Queries that have nothing so far away add nothing; what is left starts at a whole query.
    const skip = Math.min(part.n, Math.max(0, rule.distance - nPast));
    if (skip === part.n) return;
    const block = {
      nPast: nPast + skip,
      stride: chunk.n,
      at: part.first + skip,
      n: part.n - skip,
    };
    const score = blockScores(g, { ...this.#read, run, queries }, block, rule);
    const nKv = nPast + part.n;
    const into = this.#sumsOf(g, kind, run, nKv);
    const scores = g.reshape(score, nKv, queryHeads(run, this.#read.shape));
    g.expand(g.copy(rule.peaks ? larger(g, into, scores) : g.add(into, scores), into));
  }

  protected release(): void {
    this.#buffer?.[Symbol.dispose]();
  }
}

/** The larger of two, element by element: b + max(0, a − b). */
function larger(g: InputGraph, a: Tensor, b: Tensor): Tensor {
  return g.add(b, g.relu(g.sub(a, b)));
}
