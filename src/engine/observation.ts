import type { Executor } from "../ggml/executor.ts";
import type { Graph } from "../ggml/graph.ts";
import { NativeOwner } from "../ggml/owner.ts";
import { TensorBuffer, zeroTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import type { Chunk } from "./chunks.ts";
import type { HeadRun } from "./head-runs.ts";
import type { PrefillTarget } from "./prefill-target.ts";

/** What observing and scoring need of the hyper-parameters. */
export type ScoreShape = Pick<
  HyperParameters,
  "nHead" | "nHeadKv" | "headDim" | "attentionScale" | "rope"
>;

/** Raw scores of a layer's runs of heads, head after head: [tokens, nHead of the run]. */
export class WindowScores {
  readonly #scores = new Map<string, Float32Array>();

  get(run: HeadRun, alpha: number): Float32Array {
    return this.#scores.get(`${run.firstHead}/${alpha}`) as Float32Array;
  }

  set(run: HeadRun, alpha: number, scores: Float32Array): void {
    this.#scores.set(`${run.firstHead}/${alpha}`, scores);
  }
}

/**
 * What a layer's queries are watched for: the last α of them, where a method scores by a window, and
 * the attention sums of all of them, where a method asks for those. Reused from layer to layer.
 */
export class Observation extends NativeOwner {
  /** The last `alpha` queries, f32 [headDim, alpha, nHead]. */
  readonly window: Tensor | undefined;
  readonly alpha: number;
  /** The observation windows that methods score by, each once. */
  readonly alphas: readonly number[];
  /** Scores by those windows, of the layer at hand. */
  readonly windowScores = new WindowScores();
  /** The queries of the chunk at hand, f32 [headDim, chunk, nHead], where ggml sums their attention afterwards. */
  readonly queries: Tensor | undefined;
  /** Attention that each row of the scratch received so far, f32 [rows, nHead]. */
  readonly sums: Tensor | undefined;
  readonly rows: number;
  readonly #n: number;
  readonly #shape: ScoreShape;
  readonly #buffers: TensorBuffer[] = [];

  constructor(
    executor: Executor,
    shape: ScoreShape,
    targets: readonly PrefillTarget[],
    rows: number,
    n: number,
    chunkTokens: number,
  ) {
    super();
    const cut = targets.filter((t) => t.cut);
    const needing = (needs: string) => cut.filter((t) => t.compression.method.needs === needs);
    const alphas = needing("window-queries").map((t) => Math.min(n, t.compression.options.alpha));
    const { headDim, nHead } = shape;
    const allocate = (...shape: number[]): Tensor => {
      const specs = [{ type: TYPES.f32, shape }];
      const buffer = new TensorBuffer(executor.backend.bufferType, specs);
      this.#buffers.push(buffer);
      return buffer.tensors[0] as Tensor;
    };
    this.#n = n;
    this.#shape = shape;
    this.rows = rows;
    this.alphas = [...new Set(alphas)];
    this.alpha = Math.max(0, ...alphas);
    if (this.alpha > 0) this.window = allocate(headDim, this.alpha, nHead);
    if (needing("all-queries").length > 0) {
      this.sums = allocate(rows, nHead);
      if (executor.kernels?.attends(shape) !== true) {
        this.queries = allocate(headDim, Math.min(n, chunkTokens), nHead);
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
