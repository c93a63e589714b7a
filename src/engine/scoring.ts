import { attentionScores } from "../compression/scores/attention-scores.ts";
import type { Executor, InputGraph } from "../ggml/executor.ts";
import type { HeadsShape, Kernels } from "../ggml/kernels/kernels.ts";
import { readTensor, tensorShape, type Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../ggml/types.ts";
import { queriesOf } from "../models/blocks/attention.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import { ACCUMULATIONS, type AccumulatedKind, type Accumulation } from "./accumulators.ts";
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

/** With ggml's operations: adds the attention of a chunk's queries to the sums, block by block. */
export async function observe(
  observation: Observation,
  input: ScoreInput & { readonly chunk: Chunk },
): Promise<void> {
  const { queries } = observation;
  const { hp, chunk, pastRows } = input;
  if (queries === undefined) return;
  const perQuery = (pastRows + chunk.row + chunk.n) * hp.nHead * 4;
  const block = Math.min(chunk.n, Math.max(8, Math.floor(BLOCK_BYTES / perQuery)));
  const add = (g: InputGraph, kind: AccumulatedKind, run: HeadRun, at: number, n: number) => {
    const nPast = run.nPast + chunk.row + at;
    const rule = ACCUMULATIONS[kind];
    // Queries that have nothing so far away add nothing; what is left starts at a whole query.
    const skip = Math.min(n, Math.max(0, rule.distance - nPast));
    if (skip === n) return;
    const part = { nPast: nPast + skip, stride: chunk.n, at: at + skip, n: n - skip };
    const score = runScores(g, input, run, queries, part, rule);
    const nKv = nPast + n;
    const into = observation.sumsOf(g, kind, run, pastRows - run.nPast, nKv);
    const scores = g.reshape(score, nKv, queryHeads(run, hp));
    g.expand(g.copy(rule.peaks ? larger(g, into, scores) : g.add(into, scores), into));
  };
  for (const kind of observation.kindsOf(chunk)) {
    for (const { first, n } of observation.spansOf(kind, chunk)) {
      for (let at = first; at < first + n; at += block) {
        await input.executor.run(
          (g) => {
            for (const run of input.runs) add(g, kind, run, at, Math.min(block, first + n - at));
            return () => undefined;
          },
          128 + 32 * input.runs.length,
        );
      }
    }
  }
}

/** The larger of two, element by element: b + max(0, a − b). */
function larger(g: InputGraph, a: Tensor, b: Tensor): Tensor {
  return g.add(b, g.relu(g.sub(a, b)));
}

/** With our own operations: one node a run of heads for the kinds of sums that attention itself does not gather. */
export function sumAttention(
  g: InputGraph,
  observation: Observation,
  input: ScoreInput & { readonly chunk: Chunk },
  q: Tensor,
  alongside: boolean,
): void {
  const { hp, chunk, pastRows, scratch } = input;
  const row = rowBytes(TYPES.f32, hp.headDim * hp.nHead);
  const taken = alongside ? observation.alongside(chunk) : [];
  for (const kinds of observation.alikeOf(chunk)) {
    const [kind] = kinds as [AccumulatedKind];
    if (taken.includes(kind)) continue;
    const how = { scale: hp.attentionScale, likeAttention: true };
    for (const { first, n } of observation.spansOf(kind, chunk)) {
      const asked = g.view3d(q, [hp.headDim, hp.nHead, n], [hp.headDim * 4, row], first * row);
      for (const run of input.runs) {
        const [firstRow, nKv] = [pastRows - run.nPast, run.nPast + chunk.row + first + n];
        const queries = queriesOf(g, asked, run, { ...hp, n });
        const k = scratch.view(g, scratch.k, firstRow, nKv, run.firstHead, run.nHeadKv);
        const summed = observation.summed(g, kinds, run, firstRow, nKv);
        g.expand((g.kernels as Kernels).attention(g, { q: queries, k, ...summed, ...how }));
      }
    }
  }
}

/**
 * Adds the scores by the observation windows that end with this chunk.
 *
 * @returns reads them, once the graph has run
 */
export function scoreWindows(
  g: InputGraph,
  observation: Observation,
  input: ScoreInput & { readonly chunk: Chunk },
): () => void {
  const { hp, chunk, runs } = input;
  const end = chunk.row + chunk.n;
  const reads = observation.windows
    .filter((window) => chunk.isLast && window.of === chunk.of)
    .flatMap(({ of, alpha: widest, alphas, queries }) =>
      runs.flatMap((run) =>
        alphas.map((alpha) => {
          const nKv = run.nPast + end;
          const block = { nPast: nKv - alpha, stride: widest, at: widest - alpha, n: alpha };
          const score = g.output(windowScores(g, scored(g, input, run, queries, block), block, hp));
          const size = nKv * queryHeads(run, hp);
          return () => {
            const values = readTensor(score, new Float32Array(size));
            observation.setWindowScores(of, alpha, run, values);
          };
        }),
      ),
    );
  return () => {
    for (const read of reads) read();
  };
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
  rule: Pick<Accumulation, "distance" | "peaks">,
): Tensor {
  return ggmlScores(g, scored(g, input, run, queries, block), block, input.hp, rule);
}

/**
 * Attention that `n` queries after `nPast` tokens give to these and to each other: f32 [nPast + n, 1, nHead of `q`],
 * by our own operation, which needs no attention weights in memory, or by ggml's.
 */
export function windowScores(
  g: InputGraph,
  { q, k }: Scored,
  { nPast, n }: Pick<QueryBlock, "nPast" | "n">,
  hp: HeadsShape & Pick<ScoreShape, "attentionScale">,
): Tensor {
  const { kernels } = g;
  if (kernels?.attends(hp) !== true) {
    return ggmlScores(g, { q, k }, { nPast, n }, hp, { distance: 0, peaks: false });
  }
  const into = g.zeros([nPast + n, tensorShape(q)[2] as number]);
  g.expand(kernels.attention(g, { q, k, sums: [{ into, distance: 0 }], scale: hp.attentionScale }));
  return into;
}

function ggmlScores(
  g: InputGraph,
  { q, k }: Scored,
  { nPast, n }: Pick<QueryBlock, "nPast" | "n">,
  { attentionScale: scale }: Pick<ScoreShape, "attentionScale">,
  rule: Pick<Accumulation, "distance" | "peaks">,
): Tensor {
  const nHead = tensorShape(q)[2] as number;
  const ones = () => g.constant(TYPES.f32, [1, n, nHead], new Float32Array(n * nHead).fill(1));
  return attentionScores(g, { q, k: g.cast(k, TYPES.f32), nPast, scale, ...rule, ones });
}

interface Scored {
  /** f32 [headDim, n, nHead] */
  readonly q: Tensor;
  /** f16 [headDim, nPast + n, nHeadKv] */
  readonly k: Tensor;
}

/** A block's queries of a run's heads, and the run's keys. */
function scored(
  g: InputGraph,
  { scratch, pastRows, hp }: ScoreInput,
  run: HeadRun,
  queries: Tensor,
  { nPast, stride, at, n }: QueryBlock,
): Scored {
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
