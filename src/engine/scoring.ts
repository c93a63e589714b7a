import { attentionScores } from "../compression/scores/attention-scores.ts";
import type { Executor, InputGraph } from "../ggml/executor.ts";
import type { Kernels } from "../ggml/kernels/kernels.ts";
import { readTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { Chunk } from "./chunks.ts";
import { queryHeads, type HeadRun } from "./head-runs.ts";
import type { Observation, ScoreShape } from "./observation.ts";

/** Scores of all queries are computed in blocks of at most this many bytes of attention weights. */
const BLOCK_BYTES = 16 * 1024 * 1024;

export interface ScoreInput {
  readonly executor: Executor;
  readonly scratch: PrefillScratch;
  readonly runs: readonly HeadRun[];
  /** Rows of the scratch before the new tokens. */
  readonly pastRows: number;
  readonly hp: ScoreShape;
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
          const nHead = queryHeads(run, hp);
          const into = observation.sumsOf(g, run, pastRows - run.nPast, nPast + n) as Tensor;
          g.expand(g.copy(g.add(into, g.reshape(score, nPast + n, nHead)), into));
        }
        return () => undefined;
      },
      128 + 16 * input.runs.length,
    );
  }
}

/**
 * Adds the scores by the last α queries to the graph of the last chunk.
 *
 * @returns reads them, once the graph has run
 */
export function scoreWindow(
  g: InputGraph,
  observation: Observation,
  input: ScoreInput,
): () => void {
  const { hp, pastRows, scratch, runs } = input;
  const queries = observation.window;
  if (queries === undefined) return () => undefined;
  const scores = g.kernels?.attends(hp) === true ? kernelScores : runScores;
  const reads = runs.flatMap((run) =>
    observation.alphas.map((alpha) => {
      const nKv = run.nPast + scratch.rows - pastRows;
      const at = observation.alpha - alpha;
      const block = { nPast: nKv - alpha, stride: observation.alpha, at, n: alpha };
      const score = g.output(scores(g, input, run, queries, block));
      const size = nKv * queryHeads(run, hp);
      return () =>
        observation.windowScores.set(run, alpha, readTensor(score, new Float32Array(size)));
    }),
  );
  return () => {
    for (const read of reads) read();
  };
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
  const nHead = queryHeads(run, hp);
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
  const shape = [block.nPast + block.n, queryHeads(run, hp)] as const;
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
