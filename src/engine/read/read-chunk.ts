import type { InputGraph } from "../../ggml/input-graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { HeadRun } from "../../kvcache/head-runs.ts";
import { attention, type KvGroup } from "../../models/blocks/attention.ts";
import type { Model } from "../../models/model.ts";
import type { Chunk, LayerObserver, ReadLayer } from "../observe/layer-observer.ts";
import type { MaskCache } from "./mask-cache.ts";
import type { Rotation } from "./rotation.ts";

export interface ChunkReader {
  readonly model: Model;
  /** Hidden states, f32 [nEmbd, n]: the layer's input, which its output replaces. */
  readonly x: Tensor;
  readonly masks: MaskCache;
  readonly rotation: Rotation;
  readonly observers: readonly LayerObserver[];
  tokensOf(chunk: Chunk): Int32Array;
}

/** One chunk through one layer: keys and values into the scratch, attention, feed-forward. */
export async function readChunk(
  reader: ChunkReader,
  layer: ReadLayer,
  chunk: Chunk,
): Promise<void> {
  const { observers } = reader;
  await layer.shape.device.run(
    (g) => {
      const input = rows(g, reader, chunk, 0, chunk.n);
      const { q, gate } = queriesOf(g, reader, layer, chunk, input);
      for (const observer of observers) observer.onRotated?.(g, q, chunk);
      const span = usedSpan(reader, layer, chunk);
      if (span !== undefined) {
        const attended = attend(g, reader, layer, chunk, q, span.attend);
        for (const observer of observers) {
          observer.onAttended?.(g, { q, attended, input, gate }, chunk);
        }
        finish(g, reader, layer, chunk, { attended, gate, span });
      }
      const reads = observers.map((observer) => observer.onChunk?.(g, chunk));
      return () => {
        for (const read of reads) read?.();
      };
    },
    mostNodes(reader, layer, chunk),
  );
  for (const observer of observers) await observer.afterChunk?.(chunk);
}

/** A chunk's queries, rotated, and their gate; its keys and values go where they are kept, unless the layer shares another's. */
function queriesOf(
  g: InputGraph,
  { model, rotation, observers }: ChunkReader,
  { il, shape, scratch }: ReadLayer,
  chunk: Chunk,
  input: Tensor,
): { q: Tensor; gate?: Tensor | undefined } {
  const positions = rotation.positions(g, chunk);
  if (shape.sharesKvOf !== undefined) {
    const queries = model.graph.queries(g, il, input);
    return { q: model.graph.rotate(g, il, queries, positions) };
  }
  const qkv = model.graph.queryKeyValue(g, il, input, positions);
  for (const observer of observers) observer.onQueries?.(g, qkv.q, chunk);
  const into = scratch.newRows(g, chunk);
  const q = rotation.store(g, il, { qkv, positions, chunk, ...into });
  return { q, gate: qkv.gate };
}

/** Hidden states of a chunk's tokens `[from, from + n)`: f32 [nEmbd, n]. */
function rows(g: InputGraph, { model, x }: ChunkReader, chunk: Chunk, from: number, n: number) {
  return g.rows(x, TYPES.f32, model.hp.nEmbd, chunk.first + from, n);
}

/** The first of a chunk's queries that attends, and the first whose token passes the layer. */
interface Span {
  readonly attend: number;
  readonly finish: number;
}

/** Attention of a chunk's queries from `first` on: f32 [headDim · nHead, n − first]. */
function attend(
  g: InputGraph,
  { observers, masks }: ChunkReader,
  { shape, scratch }: ReadLayer,
  chunk: Chunk,
  q: Tensor,
  first: number,
): Tensor {
  const n = chunk.n - first;
  const row = shape.headDim * 4;
  const size = [shape.headDim, shape.nHead, n] as const;
  const queries = g.view3d(q, size, [row, row * shape.nHead], first * row * shape.nHead);
  const group = (run: HeadRun): KvGroup => {
    const nPast = run.nPast + chunk.row;
    const nKv = nPast + chunk.n;
    const place = { nPast, n: chunk.n, window: shape.window };
    const watching = observers.find((observer) => observer.alongside !== undefined);
    return {
      ...run,
      k: scratch.keys(g, run, nKv),
      v: scratch.values(g, run, nKv),
      summed: watching?.alongside?.(g, run, chunk, nKv) ?? {},
      mask: () => g.rows(masks.get(g, place, run.nPast === 0), TYPES.f16, nKv, first, n),
    };
  };
  return attention(g, queries, scratch.runs.map(group), { ...shape, n });
}

/** What of a chunk passes the rest of the layer, into its hidden states. */
function finish(
  g: InputGraph,
  reader: ChunkReader,
  { il, shape }: ReadLayer,
  chunk: Chunk,
  { attended, gate, span }: { attended: Tensor; gate: Tensor | undefined; span: Span },
): void {
  const n = chunk.n - span.finish;
  if (n === 0) return;
  const width = shape.headDim * shape.nHead;
  const finished = g.rows(attended, TYPES.f32, width, span.finish - span.attend, n);
  const residual = rows(g, reader, chunk, span.finish, n);
  const beside = {
    gate: gate && g.skipColumns(gate, span.finish),
    tokens: g.constant(TYPES.i32, [n], reader.tokensOf(chunk).slice(span.finish)),
  };
  g.expand(g.copy(reader.model.graph.finishLayer(g, il, residual, finished, beside), residual));
}

/**
 * Of the last layer, and of those that share keys and values behind it, only the last token's result is used. The last whole tile attends all the same: with ggml's
 * operations a query alone would be summed otherwise, and the logits no longer equal libllama's to the bit.
 */
function usedSpan(
  { observers }: ChunkReader,
  { shape, attendsWhole }: ReadLayer,
  chunk: Chunk,
): Span | undefined {
  const { n, isLast, of } = chunk;
  if (attendsWhole) return { attend: 0, finish: 0 };
  const isUsed = isLast && of === "prompt";
  if (observers.some((observer) => observer.wantsAttended?.(chunk))) {
    return { attend: 0, finish: isUsed ? n - 1 : n };
  }
  if (!isUsed) return undefined;
  const { queryTile } = shape.operations;
  const tiles = Math.max(0, Math.floor(n / queryTile) - 1);
  return { attend: tiles * queryTile, finish: n - 1 };
}

/** More nodes than one layer can have: ragged heads take an attention node each, experts and observers a few. */
function mostNodes({ observers }: ChunkReader, { shape }: ReadLayer, chunk: Chunk): number {
  const observed = observers.map((observer) => observer.nodesPerHead?.(chunk) ?? 0);
  const perHead = 16 + observed.reduce((a, b) => a + b, 0);
  return 224 + shape.nHeadKv * perHead + 4 * shape.ffn.nExpertUsed;
}
