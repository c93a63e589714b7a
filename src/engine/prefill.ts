import { throwIfAborted } from "../errors.ts";
import type { Executor, InputGraph } from "../ggml/executor.ts";
import { readTensor, TensorBuffer, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import { PrefillScratch } from "../kvcache/scratch.ts";
import { attention, type KvGroup } from "../models/blocks/attention.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import type { Model } from "../models/model.ts";
import type { AttentionWatch } from "./attention-watch.ts";
import { carriedShare, carriedTokens, carryLayer } from "./carry.ts";
import type { Chunk } from "./chunks.ts";
import { Compressor } from "./compress-layer.ts";
import { headRuns, type HeadRun } from "./head-runs.ts";
import { MaskCache } from "./masks.ts";
import type { Observation } from "./observation.ts";
import type { PrefillTarget } from "./prefill-target.ts";
import { Reading } from "./reading.ts";
import type { Rotation } from "./rotation.ts";
import { observe, scoreWindows, sumAttention } from "./scoring.ts";

export interface PrefillJob {
  readonly model: Model;
  readonly executor: Executor;
  readonly tokens: Int32Array;
  /** Read after the tokens and forgotten, piece by piece: its queries observe them. All targets that have a probe have this one. */
  readonly probe: readonly Int32Array[];
  /** True position of the first token. */
  readonly firstPosition: number;
  /** The caches to fill. Several may share one prefill if all of them are empty. */
  readonly targets: readonly PrefillTarget[];
  /** Is shown every layer, where no tokens come before these. */
  readonly watch?: AttentionWatch | undefined;
  readonly chunkTokens: number;
  readonly signal?: AbortSignal | undefined;
  /** Called after each layer and chunk with the share of work done, 0 to 1. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

export interface PrefillResult {
  /** f32 [nVocab], of the last token. */
  readonly logits: Float32Array;
  /** Milliseconds spent on selecting and compacting, all targets together; scores come with the prompt's graphs. */
  readonly compressMs: number;
  /** Of each target: where its next token stands. */
  readonly nextPositions: readonly number[];
}

/**
 * Layer by layer: all chunks of the prompt pass a layer, then its keys and values are cut to their
 * budget and the scratch serves the next layer. So one layer at full length is the most there ever is.
 */
export async function prefill(job: PrefillJob): Promise<PrefillResult> {
  try {
    const result = await prefillLayers(job);
    for (const { cache } of job.targets) cache.commit();
    return result;
  } catch (error) {
    // Stopped half-way, every session is as it was before.
    for (const { cache } of job.targets) if (!cache.disposed) cache.rollBack();
    throw error;
  }
}

async function prefillLayers(job: PrefillJob): Promise<PrefillResult> {
  const { model, executor, targets, firstPosition, probe } = job;
  const { hp } = model;
  const nPrompt = job.tokens.length;
  const past = targets[0]?.cache.layers ?? [];
  const pastRows = Math.max(0, ...past.flatMap((l) => l.heads.map((h) => h.length)));
  const nextPosition = firstPosition + nPrompt;
  const read = (positions: Int32Array) =>
    Reading.create({ ...job, pastRows, positions, nextPosition, probe });
  const share = carriedShare(targets);

  let reading = await read(Int32Array.from({ length: nPrompt }, (_, i) => firstPosition + i));
  try {
    using hidden = new TensorBuffer(executor.backend.bufferType, [
      { type: TYPES.f32, shape: [hp.nEmbd, reading.n], name: "hidden" },
    ]);
    const x = hidden.tensors[0] as Tensor;
    const ledgers = targets.map((t) => t.cache.ledger);
    using scratch = new PrefillScratch(executor, hp, reading.rows, ledgers);
    using masks = new MaskCache(executor);
    const compressor = await Compressor.create({ ...job, scratch, pastRows, nPrompt });

    for (const chunk of reading.chunks) await embed(job, x, chunk);
    let compressMs = 0;
    for (let il = 0; il < hp.nLayer; il++) {
      const layer = past[il];
      if (layer !== undefined) await scratch.load(layer, pastRows);
      const runs = headRuns(
        layer?.heads.map((h) => h.length) ?? new Array<number>(hp.nHeadKv).fill(0),
      );
      reading.observation.reset();
      for (const chunk of reading.chunks) {
        throwIfAborted(job.signal);
        await runLayer(job, il, x, chunk, { scratch, masks, runs, pastRows, ...partsOf(reading) });
        job.onProgress?.((il + (chunk.first + chunk.n) / reading.n) / hp.nLayer);
      }
      await job.watch?.show(il, scratch, nPrompt);
      const before = performance.now();
      await compressor.compress(il, runs, reading);
      if (share !== undefined && il + 1 === carryLayer(hp.nLayer) && il + 1 < hp.nLayer) {
        const carried = carriedTokens(reading, runs, targets[0] as PrefillTarget, share);
        await gatherRows(executor, x, carried, hp.nEmbd, nPrompt);
        const positions = carried.map((i) => reading.positions[i] as number);
        reading[Symbol.dispose]();
        reading = await read(positions);
      }
      compressMs += performance.now() - before;
    }
    const logits = await lastLogits(job, x, reading.lengths.prompt - 1);
    return { logits, compressMs, nextPositions: compressor.nextPositions };
  } finally {
    reading[Symbol.dispose]();
  }
}

function partsOf({ rotation, observation }: Reading) {
  return { rotation, observation };
}

/** Moves some rows of `x` f32 [width, n] to its first rows; they ascend. */
function gatherRows(
  executor: Executor,
  x: Tensor,
  rows: Int32Array,
  width: number,
  n: number,
): Promise<void> {
  return executor.run((g) => {
    const from = g.constant(TYPES.i32, [rows.length], rows);
    const chosen = g.getRows(g.rows(x, TYPES.f32, width, 0, n), from);
    g.expand(g.copy(chosen, g.rows(x, TYPES.f32, width, 0, rows.length)));
    return () => undefined;
  });
}

interface LayerState {
  readonly scratch: PrefillScratch;
  readonly masks: MaskCache;
  readonly rotation: Rotation;
  readonly runs: readonly HeadRun[];
  /** Rows of the scratch before the new tokens. */
  readonly pastRows: number;
  readonly observation: Observation;
}

/** One chunk through one layer: keys and values into the scratch, attention, feed-forward, `x` updated. */
async function runLayer(
  { model, executor, watch }: PrefillJob,
  il: number,
  x: Tensor,
  chunk: Chunk,
  state: LayerState,
): Promise<void> {
  const { scratch, runs, pastRows, observation } = state;
  const { hp } = model;
  const { first, row: firstRow, n } = chunk;
  const ownKernels = executor.kernels?.attends(hp) === true;
  const isLastLayer = il === hp.nLayer - 1;
  const sampled = observation.samples !== undefined && chunk.of === "prompt";
  const span = isLastLayer ? lastLayerSpan(chunk, ownKernels, sampled) : { attend: 0, finish: 0 };
  const scores = { executor, scratch, runs, pastRows, hp, chunk };
  await executor.run(
    (g) => {
      const input = g.rows(x, TYPES.f32, hp.nEmbd, first, n);
      const qkv = model.graph.queryKeyValue(g, il, input);
      if (chunk.of === "prompt") observation.querySums?.add(g, qkv.q, chunk);
      const q = state.rotation.store(g, qkv, chunk, {
        k: scratch.view(g, scratch.k, pastRows + firstRow, n),
        v: scratch.view(g, scratch.v, pastRows + firstRow, n),
      });
      observation.capture(g, q, chunk);
      watch?.capture(g, q, chunk);
      if (ownKernels) sumAttention(g, observation, scores, q, !isLastLayer);
      if (span !== undefined) {
        const nQueries = n - span.attend;
        const row = hp.headDim * 4;
        const shape = [hp.headDim, hp.nHead, nQueries] as const;
        const queries = g.view3d(q, shape, [row, row * hp.nHead], span.attend * row * hp.nHead);
        const groups = runs.map((run) =>
          scratchGroup(g, state, run, chunk, span.attend, isLastLayer),
        );
        const scale = hp.attentionScale;
        const attended = attention(g, queries, groups, { ...hp, n: nQueries, scale });
        if (sampled) {
          const rows = g.reshape(g.contiguous(q), hp.headDim * hp.nHead, n);
          observation.samples?.capture(g, [rows, attended, input], chunk);
        }
        const rest = n - span.finish;
        if (rest > 0) {
          const width = hp.headDim * hp.nHead;
          const finished = g.rows(attended, TYPES.f32, width, span.finish - span.attend, rest);
          const residual = g.rows(x, TYPES.f32, hp.nEmbd, first + span.finish, rest);
          g.expand(g.copy(model.graph.finishLayer(g, il, residual, finished), residual));
        }
      }
      return scoreWindows(g, observation, scores);
    },
    layerNodes(hp, observation, chunk),
  );
  await observe(observation, scores);
}

/** More nodes than one layer can have: ragged heads take an attention node each, experts and scores a few. */
function layerNodes(
  { nHeadKv, nExpertUsed }: HyperParameters,
  observation: Observation,
  chunk: Chunk,
): number {
  const scored = observation.windows.reduce((sum, w) => sum + w.alphas.length, 1);
  const kinds = observation.kindsOf(chunk);
  const summed = kinds.reduce((sum, kind) => sum + observation.spansOf(kind, chunk).length, 0);
  return 192 + 16 * nHeadKv * (scored + summed) + 4 * nExpertUsed;
}

/** ggml attends in tiles of 64 queries, and sums fewer than a tile in another order. */
const QUERY_TILE = 64;

/**
 * Of the last layer only the last token's result is used. ggml's attention takes the last whole tile all the
 * same: a query alone would be summed otherwise, and the logits no longer equal libllama's to the bit.
 */
function lastLayerSpan(
  { n, isLast, of }: Chunk,
  ownKernels: boolean,
  sampled: boolean,
): { attend: number; finish: number } | undefined {
  const used = isLast && of === "prompt";
  if (sampled) return { attend: 0, finish: used ? n - 1 : n };
  if (!used) return undefined;
  if (ownKernels) return { attend: n - 1, finish: n - 1 };
  const tiles = Math.max(0, Math.floor(n / QUERY_TILE) - 1);
  return { attend: tiles * QUERY_TILE, finish: n - 1 };
}

/** A run's keys and values so far, and the mask of the queries from `skip` on. */
function scratchGroup(
  g: InputGraph,
  { scratch, masks, pastRows, observation }: LayerState,
  run: HeadRun,
  chunk: Chunk,
  skip: number,
  isLastLayer: boolean,
): KvGroup {
  const { row, n } = chunk;
  const nPast = run.nPast + row;
  const firstRow = pastRows - run.nPast;
  const view = (of: Tensor) => scratch.view(g, of, firstRow, nPast + n, run.firstHead, run.nHeadKv);
  const kinds = isLastLayer ? [] : observation.alongside(chunk);
  return {
    ...run,
    k: view(scratch.k),
    v: view(scratch.v),
    summed: observation.summed(g, kinds, run, firstRow, nPast + n),
    mask: () =>
      g.rows(masks.get(g, nPast, n, run.nPast === 0), TYPES.f16, nPast + n, skip, n - skip),
  };
}

async function embed({ model, executor, ...job }: PrefillJob, x: Tensor, chunk: Chunk) {
  const { first, n } = chunk;
  const tokens = tokensOf(job, chunk);
  await executor.run((g) => {
    const ids = g.constant(TYPES.i32, [n], tokens);
    const into = g.rows(x, TYPES.f32, model.hp.nEmbd, first, n);
    g.expand(g.copy(model.graph.embed(g, ids), into));
    return () => undefined;
  });
}

function tokensOf({ tokens, probe }: Pick<PrefillJob, "tokens" | "probe">, chunk: Chunk) {
  if (chunk.of === "prompt") return tokens.slice(chunk.first, chunk.first + chunk.n);
  let first = tokens.length;
  return probe.find((piece) => (first += piece.length) > chunk.first) as Int32Array;
}

function lastLogits(
  { model, executor }: PrefillJob,
  x: Tensor,
  row: number,
): Promise<Float32Array> {
  const { nEmbd, nVocab } = model.hp;
  return executor.run((g) => {
    const last = g.rows(x, TYPES.f32, nEmbd, row, 1);
    const logits = g.output(model.graph.logits(g, last));
    return () => readTensor(logits, new Float32Array(nVocab));
  });
}
