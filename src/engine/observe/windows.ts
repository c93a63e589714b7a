import type { Device } from "../../ggml/device.ts";
import type { InputGraph } from "../../ggml/input-graph.ts";
import { NativeOwner } from "../../ggml/owner.ts";
import type { TensorBuffer } from "../../ggml/tensor-buffer.ts";
import { readTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import { queryHeads, type HeadRun } from "../../kvcache/head-runs.ts";
import type { HyperParameters } from "../../models/hyper-parameters.ts";
import type { Chunk, LayerObserver, ReadLayer } from "./layer-observer.ts";
import { blockOf, windowScores } from "./scoring.ts";
import {
  neededBy,
  windowOf,
  type ObservedWindow,
  type PrefillTarget,
  type PromptLengths,
} from "./target.ts";

/** The last queries of the prompt, or of its probe. */
interface Window {
  readonly of: Chunk["of"];
  /** Queries held: as many as the widest of `alphas`. */
  readonly alpha: number;
  readonly alphas: readonly number[];
  /** f32 [headDim, alpha, nHead] */
  readonly queries: Tensor;
  /** Row of the token after the last one. */
  readonly end: number;
}

/** The observation windows of some targets: the last queries, and the attention that they give to each token. */
export class Windows extends NativeOwner implements LayerObserver {
  readonly #windows: readonly Window[];
  readonly #buffer: TensorBuffer | undefined;
  /** Scores by window and run: [nKv, nHead of the run]. */
  readonly #scores = new Map<string, Float32Array>();
  #layer: ReadLayer | undefined;

  constructor(
    device: Device,
    { headDim, nHead }: HyperParameters,
    targets: readonly PrefillTarget[],
    lengths: PromptLengths,
  ) {
    super();
    const windows = (["prompt", "probe"] as const).flatMap((of) => {
      const alphas = windowAlphas(targets, of, lengths);
      const alpha = Math.max(0, ...alphas);
      const end = lengths.prompt + (of === "probe" ? lengths.lastPiece : 0);
      return alpha === 0 ? [] : [{ of, alpha, alphas, end }];
    });
    const specs = windows.map(({ alpha }) => ({ type: TYPES.f32, shape: [headDim, alpha, nHead] }));
    this.#buffer = specs.length > 0 ? device.allocate(specs) : undefined;
    this.#windows = windows.map((window, i) => {
      return { ...window, queries: this.#buffer?.tensors[i] as Tensor };
    });
  }

  begin(layer: ReadLayer): void {
    this.assertAlive();
    this.#layer = layer;
    this.#scores.clear();
  }

  /** Copies what the windows hold of a chunk's queries. */
  onRotated(g: InputGraph, q: Tensor, chunk: Chunk): void {
    const { row: first, n, of, isLast } = chunk;
    const { headDim, nHead } = this.#read.shape;
    const row = headDim * 4;
    for (const window of this.#windows) {
      const start = window.end - window.alpha;
      const from = Math.max(first, start);
      const count = Math.min(first + n, window.end) - from;
      if (count <= 0 || window.of !== of || (of === "probe" && !isLast)) continue;
      const size = [headDim, count, nHead] as const;
      const into = g.view3d(window.queries, size, [row, row * window.alpha], (from - start) * row);
      g.expand(g.copy(blockOf(g, q, this.#read.shape, from - first, count), into));
    }
  }

  /** Adds the scores by the windows that end with this chunk. */
  onChunk(g: InputGraph, chunk: Chunk): () => void {
    const { scratch, shape } = this.#read;
    const reads = this.#windows
      .filter((window) => chunk.isLast && window.of === chunk.of)
      .flatMap(({ of, alpha: widest, alphas, queries }) =>
        scratch.runs.flatMap((run) =>
          alphas.map((alpha) => {
            const nKv = run.nPast + chunk.row + chunk.n;
            const block = { nPast: nKv - alpha, stride: widest, at: widest - alpha, n: alpha };
            const score = g.output(windowScores(g, { ...this.#read, run, queries }, block));
            const size = nKv * queryHeads(run, shape);
            return () => {
              const values = readTensor(score, new Float32Array(size));
              this.#scores.set(keyOf({ of, alpha }, run), values);
            };
          }),
        ),
      );
    return () => {
      for (const read of reads) read();
    };
  }

  nodesPerHead(): number {
    return 16 * this.#windows.reduce((sum, { alphas }) => sum + alphas.length, 0);
  }

  /** Scores of a run of heads by a window, [nKv, nHead of the run], once its last chunk was computed. */
  ofRun(window: ObservedWindow, run: HeadRun): Float32Array | undefined {
    return this.#scores.get(keyOf(window, run));
  }

  /** Scores of a kv head's first `n` tokens by a window: [n, group]. */
  ofHead(window: ObservedWindow, kvHead: number, n: number): Float32Array | undefined {
    const { shape, scratch } = this.#read;
    const run = scratch.runOf(kvHead);
    const runScores = this.ofRun(window, run);
    if (runScores === undefined) return undefined;
    const group = shape.nHead / shape.nHeadKv;
    const nKv = runScores.length / (run.nHeadKv * group);
    const first = (kvHead - run.firstHead) * group;
    if (nKv === n) return runScores.subarray(first * n, (first + group) * n);
    // A probe's tokens come behind the prompt's, and are left out.
    const headScores = new Float32Array(n * group);
    for (let i = 0; i < group; i++) {
      const at = (first + i) * nKv;
      headScores.set(runScores.subarray(at, at + n), i * n);
    }
    return headScores;
  }

  get #read(): ReadLayer {
    return this.#layer as ReadLayer;
  }

  protected release(): void {
    this.#buffer?.[Symbol.dispose]();
  }
}

function keyOf({ of, alpha }: ObservedWindow, run: HeadRun): string {
  return `${of}/${alpha}/${run.firstHead}`;
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
