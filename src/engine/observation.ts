import type { EvidenceKind } from "../compression/evidence.ts";
import type { Executor, InputGraph } from "../ggml/executor.ts";
import type { Graph } from "../ggml/graph.ts";
import type { AttentionNode } from "../ggml/kernels/kernels.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { readTensor, TensorBuffer, zeroTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import {
  ACCUMULATIONS,
  queriesOfKind,
  within,
  type AccumulatedKind,
  type Span,
} from "./accumulators.ts";
import type { Chunk } from "./chunks.ts";
import { queryHeads, type HeadRun } from "./head-runs.ts";
import { neededBy, type PrefillTarget } from "./prefill-target.ts";
import { QuerySums } from "./query-statistics.ts";
import { Samples } from "./samples.ts";

/** What observing and scoring need of the hyper-parameters. */
export type ScoreShape = Pick<
  HyperParameters,
  "nHead" | "nHeadKv" | "headDim" | "attentionScale" | "rope"
>;

/** The last queries of the prompt, or of its probe, whose attention methods rank by. */
export interface Window {
  readonly of: Chunk["of"];
  /** Queries held: as many as the widest of `alphas`. */
  readonly alpha: number;
  readonly alphas: readonly number[];
  /** f32 [headDim, alpha, nHead] */
  readonly queries: Tensor;
  /** Row of the token after the last one. */
  readonly end: number;
}

/** Tokens that are read. */
export interface PromptLengths {
  readonly prompt: number;
  /** Of the probe after it: its longest piece, and its last. */
  readonly probe: number;
  readonly lastPiece: number;
}

/**
 * What a layer's queries are watched for, as the methods at hand ask: the last of them, sums over all of
 * them, their statistics, samples. Reused from layer to layer.
 */
export class Observation extends NativeOwner {
  readonly windows: readonly Window[];
  /** Attention that each row of the scratch received so far, f32 [rows, nHead], by kind. */
  readonly accumulated: ReadonlyMap<AccumulatedKind, Tensor>;
  /** The queries of the chunk at hand, f32 [headDim, chunk, nHead], where ggml sums their attention afterwards. */
  readonly queries: Tensor | undefined;
  readonly querySums: QuerySums | undefined;
  readonly samples: Samples | undefined;
  readonly #lengths: PromptLengths;
  readonly #windowScores = new Map<string, Float32Array>();
  readonly #buffers: TensorBuffer[] = [];

  /** Rows of the scratch. */
  readonly rows: number;

  constructor(
    executor: Executor,
    private readonly shape: HyperParameters,
    targets: readonly PrefillTarget[],
    { rows, lengths, chunkTokens }: { rows: number; lengths: PromptLengths; chunkTokens: number },
  ) {
    super();
    this.rows = rows;
    this.#lengths = lengths;
    const { headDim, nHead } = shape;
    const allocate = (...shape: number[]): Tensor => {
      const specs = [{ type: TYPES.f32, shape }];
      const buffer = new TensorBuffer(executor.backend.bufferType, specs);
      this.#buffers.push(buffer);
      return buffer.tensors[0] as Tensor;
    };
    const needs = new Set<EvidenceKind>(targets.flatMap(neededBy));
    this.windows = (["prompt", "probe"] as const).flatMap((of) => {
      const alphas = windowAlphas(targets, of, lengths);
      const alpha = Math.max(0, ...alphas);
      if (alpha === 0) return [];
      const end = lengths.prompt + (of === "probe" ? lengths.lastPiece : 0);
      return [{ of, alpha, alphas, end, queries: allocate(headDim, alpha, nHead) }];
    });
    const kinds = (Object.keys(ACCUMULATIONS) as AccumulatedKind[]).filter((k) => needs.has(k));
    this.accumulated = new Map(kinds.map((kind) => [kind, allocate(rows, nHead)]));
    if (kinds.length > 0 && executor.kernels?.attends(shape) !== true) {
      const longest = Math.max(Math.min(lengths.prompt, chunkTokens), lengths.probe);
      this.queries = allocate(headDim, longest, nHead);
    }
    if (needs.has("queries")) this.querySums = new QuerySums(executor, shape);
    if (needs.has("outputs")) this.samples = new Samples(executor, shape, lengths.prompt);
  }

  /** Forgets the layer before. */
  reset(): void {
    this.assertAlive();
    // Only sums add up; queries are overwritten.
    const bytes = this.rows * this.shape.nHead * 4;
    for (const tensor of this.accumulated.values()) zeroTensor(tensor, 0, bytes);
    this.querySums?.reset();
    this.#windowScores.clear();
  }

  /** The kinds of sums that a chunk's queries add to. */
  kindsOf(chunk: Chunk): AccumulatedKind[] {
    return [...this.accumulated.keys()].filter((kind) => ACCUMULATIONS[kind].of === chunk.of);
  }

  /** The kinds of sums that the same of a chunk's queries add to: one pass over the keys gathers them. */
  alikeOf(chunk: Chunk): AccumulatedKind[][] {
    const alike = new Map<number, AccumulatedKind[]>();
    for (const kind of this.kindsOf(chunk)) {
      const { share } = ACCUMULATIONS[kind];
      alike.set(share, [...(alike.get(share) ?? []), kind]);
    }
    return [...alike.values()];
  }

  /** The kinds that attention itself gathers on its way: those that all queries add to. */
  alongside(chunk: Chunk): AccumulatedKind[] {
    return this.kindsOf(chunk).filter((kind) => ACCUMULATIONS[kind].share === 1);
  }

  /** Which of a chunk's queries add to sums of a kind, counted from its first. */
  spansOf(kind: AccumulatedKind, chunk: Chunk): Span[] {
    if (chunk.of === "probe") return [{ first: 0, n: chunk.n }];
    return within(queriesOfKind(kind, this.#lengths.prompt), chunk.first, chunk.n);
  }

  /** The sums of a run's tokens so far: f32 [nKv, nHead of the run]. */
  sumsOf(g: Graph, kind: AccumulatedKind, run: HeadRun, firstRow: number, nKv: number): Tensor {
    const group = this.shape.nHead / this.shape.nHeadKv;
    const offset = (run.firstHead * group * this.rows + firstRow) * 4;
    const tensor = this.accumulated.get(kind) as Tensor;
    return g.view2d(tensor, nKv, queryHeads(run, this.shape), this.rows * 4, offset);
  }

  /** Where these kinds of sums, which the same queries add to, are gathered. */
  summed(
    g: Graph,
    kinds: readonly AccumulatedKind[],
    run: HeadRun,
    firstRow: number,
    nKv: number,
  ): Pick<AttentionNode, "sums" | "peaks"> {
    const sums = kinds.map((kind) => ({
      into: this.sumsOf(g, kind, run, firstRow, nKv),
      distance: ACCUMULATIONS[kind].distance,
    }));
    return { sums, peaks: kinds.some((kind) => ACCUMULATIONS[kind].peaks) };
  }

  /** What `n` tokens from row `firstRow` on received of the query heads of a kv head: [n, group]. */
  readSums(kind: AccumulatedKind, kvHead: number, firstRow: number, n: number): Float32Array {
    const group = this.shape.nHead / this.shape.nHeadKv;
    const out = new Float32Array(n * group);
    for (let i = 0; i < group; i++) {
      const offset = ((kvHead * group + i) * this.rows + firstRow) * 4;
      const tensor = this.accumulated.get(kind) as Tensor;
      readTensor(tensor, out.subarray(i * n, (i + 1) * n), offset);
    }
    return out;
  }

  /** Scores of a run of heads by a window, [nKv, nHead of the run], once its last chunk was computed. */
  windowScores(of: Chunk["of"], alpha: number, run: HeadRun): Float32Array | undefined {
    return this.#windowScores.get(`${of}/${alpha}/${run.firstHead}`);
  }

  setWindowScores(of: Chunk["of"], alpha: number, run: HeadRun, scores: Float32Array): void {
    this.#windowScores.set(`${of}/${alpha}/${run.firstHead}`, scores);
  }

  /** Copies what is needed of a chunk's rotated queries, `q` f32 [headDim, nHead, n]. */
  capture(g: InputGraph, q: Tensor, chunk: Chunk): void {
    const { row: first, n, of, isLast } = chunk;
    const { headDim, nHead } = this.shape;
    const row = headDim * 4;
    const byHead = g.permute(q, 0, 2, 1, 3);
    const source = (from: number, count: number) =>
      g.view3d(byHead, [headDim, count, nHead], [row * nHead, row], from * row * nHead);
    if (this.queries !== undefined && this.kindsOf(chunk).length > 0) {
      const into = g.view3d(this.queries, [headDim, n, nHead], [row, row * n], 0);
      g.expand(g.copy(source(0, n), into));
    }
    for (const window of this.windows) {
      const start = window.end - window.alpha;
      const from = Math.max(first, start);
      const count = Math.min(first + n, window.end) - from;
      if (count <= 0 || window.of !== of || (of === "probe" && !isLast)) continue;
      const into = g.view3d(
        window.queries,
        [headDim, count, nHead],
        [row, row * window.alpha],
        (from - start) * row,
      );
      g.expand(g.copy(source(from - first, count), into));
    }
  }

  protected release(): void {
    for (const buffer of this.#buffers) buffer[Symbol.dispose]();
    this.querySums?.[Symbol.dispose]();
    this.samples?.[Symbol.dispose]();
  }
}

/** Queries that a target's method observes at the end of the prompt, or of its probe. */
export function windowOf(
  { compression: { method, options } }: PrefillTarget,
  lengths: PromptLengths,
): { of: Chunk["of"]; alpha: number } {
  const of = method.probe !== undefined && lengths.probe > 0 ? "probe" : "prompt";
  const most = of === "probe" ? lengths.lastPiece : lengths.prompt;
  return { of, alpha: Math.min(options.alpha, most) };
}

function windowAlphas(
  targets: readonly PrefillTarget[],
  of: Chunk["of"],
  lengths: PromptLengths,
): number[] {
  const windows = targets
    .filter((t) => neededBy(t).includes("window"))
    .map((t) => windowOf(t, lengths));
  return [...new Set(windows.filter((w) => w.of === of).map((w) => w.alpha))];
}
