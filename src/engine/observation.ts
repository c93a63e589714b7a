import { attentionScores } from "../compression/scores/attention-scores.ts";
import type { Executor, InputGraph } from "../ggml/executor.ts";
import type { Graph } from "../ggml/graph.ts";
import type { Kernels } from "../ggml/kernels/kernels.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { readTensor, TensorBuffer, zeroTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import type { Chunk } from "./chunks.ts";
import type { HeadRun } from "./head-runs.ts";
import type { PrefillTarget } from "./prefill-target.ts";

/** Scores of all queries are computed in blocks of at most this many bytes of attention weights. */
const BLOCK_BYTES = 16 * 1024 * 1024;

type Shape = Pick<HyperParameters, "nHead" | "nHeadKv" | "headDim" | "attentionScale" | "rope">;

export interface ScoreInput {
  readonly executor: Executor;
  readonly scratch: PrefillScratch;
  readonly runs: readonly HeadRun[];
  /** Rows of the scratch before the new tokens. */
  readonly pastRows: number;
  readonly hp: Shape;
}

/**
 * What a layer's queries are watched for: the last α of them, where a method scores by a window, and
 * the attention sums of all of them, where a method asks for those. Reused from layer to layer.
 */
export class Observation extends NativeOwner {
  /** The last `alpha` queries, f32 [headDim, alpha, nHead]. */
  readonly window: Tensor | undefined;
  readonly alpha: number;
  /** The queries of the chunk at hand, f32 [headDim, chunk, nHead], where ggml sums their attention afterwards. */
  readonly queries: Tensor | undefined;
  /** Attention that each row of the scratch received so far, f32 [rows, nHead]. */
  readonly sums: Tensor | undefined;
  readonly rows: number;
  readonly #n: number;
  readonly #shape: Shape;
  readonly #buffers: TensorBuffer[] = [];

  constructor(
    executor: Executor,
    shape: Shape,
    targets: readonly PrefillTarget[],
    rows: number,
    n: number,
    chunkTokens: number,
  ) {
    super();
    const cut = targets.filter((t) => t.cut);
    const needing = (needs: string) => cut.filter((t) => t.compression.method.needs === needs);
    const alphas = needing("window-queries").map((t) => t.compression.options.alpha);
    const { headDim, nHead } = shape;
    const allocate = (...shapes: number[][]): Tensor[] => {
      const specs = shapes.map((s) => ({ type: TYPES.f32, shape: s }));
      const buffer = new TensorBuffer(executor.backend.bufferType, specs);
      this.#buffers.push(buffer);
      return [...buffer.tensors];
    };
    this.#n = n;
    this.#shape = shape;
    this.rows = rows;
    this.alpha = Math.min(n, Math.max(0, ...alphas));
    if (this.alpha > 0) [this.window] = allocate([headDim, this.alpha, nHead]);
    if (needing("all-queries").length > 0) {
      [this.sums] = allocate([rows, nHead]);
      if (executor.kernels?.attends(shape) !== true) {
        [this.queries] = allocate([headDim, Math.min(n, chunkTokens), nHead]);
      }
    }
  }

  /** Forgets the layer before. */
  reset(): void {
    this.assertAlive();
    // Only the sums add up; queries are overwritten.
    if (this.sums !== undefined) zeroTensor(this.sums, 0, this.rows * this.#shape.nHead * 4);
  }

  /** The sums of a run's tokens so far: f32 [nKv, nHead of the run]. */
  sumsOf(g: Graph, run: HeadRun, firstRow: number, nKv: number): Tensor | undefined {
    if (this.sums === undefined) return undefined;
    const group = this.#shape.nHead / this.#shape.nHeadKv;
    const offset = (run.firstHead * group * this.rows + firstRow) * 4;
    return g.view2d(this.sums, nKv, run.nHeadKv * group, this.rows * 4, offset);
  }

  /** Copies what is needed of a chunk's queries, `q` f32 [headDim, n, nHead]. */
  capture(g: Graph, q: Tensor, { first, n }: Chunk): void {
    const { headDim, nHead } = this.#shape;
    const row = headDim * 4;
    const source = (from: number, count: number) =>
      g.view3d(q, [headDim, count, nHead], [row * nHead, row], from * row * nHead);
    if (this.queries !== undefined) {
      const into = g.view3d(this.queries, [headDim, n, nHead], [row, row * n], 0);
      g.expand(g.copy(source(0, n), into));
    }
    const windowStart = this.#n - this.alpha;
    const from = Math.max(first, windowStart);
    const count = first + n - from;
    if (this.window !== undefined && count > 0) {
      const into = g.view3d(
        this.window,
        [headDim, count, nHead],
        [row, row * this.alpha],
        (from - windowStart) * row,
      );
      g.expand(g.copy(source(from - first, count), into));
    }
  }

  protected release(): void {
    for (const buffer of this.#buffers) buffer[Symbol.dispose]();
  }
}

/** Adds the attention of a chunk's queries to the sums, block by block. */
export async function observe(
  observation: Observation,
  input: ScoreInput & { readonly chunk: Chunk },
): Promise<void> {
  const { queries } = observation;
  if (queries === undefined) return;
  const { hp, chunk, pastRows } = input;
  const perQuery = (pastRows + chunk.first + chunk.n) * hp.nHead * 4;
  const block = Math.min(chunk.n, Math.max(8, Math.floor(BLOCK_BYTES / perQuery)));
  for (let at = 0; at < chunk.n; at += block) {
    const n = Math.min(block, chunk.n - at);
    await input.executor.run(
      (g) => {
        for (const run of input.runs) {
          const nPast = run.nPast + chunk.first + at;
          const score = runScores(g, input, run, queries, { nPast, stride: chunk.n, at, n });
          const nHead = (run.nHeadKv * hp.nHead) / hp.nHeadKv;
          const into = observation.sumsOf(g, run, pastRows - run.nPast, nPast + n) as Tensor;
          g.expand(g.copy(g.add(into, g.reshape(score, nPast + n, nHead)), into));
        }
        return () => undefined;
      },
      128 + 16 * input.runs.length,
    );
  }
}

/** Raw scores of one run of heads, head after head: [tokens, nHead of the run]. */
export async function windowScores(
  observation: Observation,
  input: ScoreInput,
  run: HeadRun,
  alpha: number,
): Promise<Float32Array> {
  const { hp, pastRows, scratch } = input;
  const nNew = scratch.rows - pastRows;
  const nKv = run.nPast + nNew;
  const nHead = (run.nHeadKv * hp.nHead) / hp.nHeadKv;
  const queries = observation.window as Tensor;
  const block = { nPast: nKv - alpha, stride: observation.alpha, at: observation.alpha - alpha };
  return input.executor.run((g) => {
    const scores = g.kernels?.attends(hp) === true ? kernelScores : runScores;
    const score = g.output(scores(g, input, run, queries, { ...block, n: alpha }));
    return () => readTensor(score, new Float32Array(nKv * nHead));
  });
}

/** The summed attention of all queries for one run of heads: [tokens, nHead of the run]. */
export function summedScores(
  observation: Observation,
  { hp, pastRows, scratch }: ScoreInput,
  run: HeadRun,
): Float32Array {
  const group = hp.nHead / hp.nHeadKv;
  const nKv = run.nPast + scratch.rows - pastRows;
  const out = new Float32Array(nKv * run.nHeadKv * group);
  for (let h = 0; h < run.nHeadKv * group; h++) {
    const offset = ((run.firstHead * group + h) * observation.rows + pastRows - run.nPast) * 4;
    readTensor(observation.sums as Tensor, out.subarray(h * nKv, (h + 1) * nKv), offset);
  }
  return out;
}

interface QueryBlock {
  readonly nPast: number;
  /** Queries between one head's and the next's. */
  readonly stride: number;
  readonly at: number;
  readonly n: number;
}

/** Attention that queries `[at, at + n)` give to a run's tokens: f32 [nPast + n, 1, nHead of the run]. */
function runScores(
  g: InputGraph,
  input: ScoreInput,
  run: HeadRun,
  queries: Tensor,
  block: QueryBlock,
): Tensor {
  const { hp } = input;
  const { nPast, n } = block;
  const nHead = (run.nHeadKv * hp.nHead) / hp.nHeadKv;
  const { q, k } = scored(g, input, run, queries, block);
  return attentionScores(g, {
    ...{ q, nPast, scale: hp.attentionScale },
    k: g.cast(k, TYPES.f32),
    ones: g.constant(TYPES.f32, [1, n, nHead], new Float32Array(n * nHead).fill(1)),
  });
}

/** The same by one operation of our own, which needs no attention weights in memory. */
function kernelScores(
  g: InputGraph,
  input: ScoreInput,
  run: HeadRun,
  queries: Tensor,
  block: QueryBlock,
): Tensor {
  const { hp } = input;
  const shape = [block.nPast + block.n, (run.nHeadKv * hp.nHead) / hp.nHeadKv] as const;
  const sums = g.zeros(shape);
  const scale = hp.attentionScale;
  const inputs = { ...scored(g, input, run, queries, block), scale, sums };
  g.expand((g.kernels as Kernels).attention(g, inputs));
  return sums;
}

/** A block's queries, f32 [headDim, n, nHead of the run], and the run's keys, f16 [headDim, nPast + n, nHeadKv]. */
function scored(
  g: InputGraph,
  { scratch, pastRows, hp }: ScoreInput,
  run: HeadRun,
  queries: Tensor,
  { nPast, stride, at, n }: QueryBlock,
): { q: Tensor; k: Tensor } {
  const group = hp.nHead / hp.nHeadKv;
  const row = rowBytes(TYPES.f32, hp.headDim);
  const offset = (run.firstHead * group * stride + at) * row;
  const shape = [hp.headDim, n, run.nHeadKv * group] as const;
  const firstRow = pastRows - run.nPast;
  return {
    q: g.view3d(queries, shape, [row, row * stride], offset),
    k: scratch.view(g, scratch.k, firstRow, nPast + n, run.firstHead, run.nHeadKv),
  };
}
