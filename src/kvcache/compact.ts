import type { Executor } from "../ggml/executor.ts";
import { TYPES, type TensorType } from "../ggml/types.ts";
import { LayerCache } from "./layer-cache.ts";
import { capacityFor, type Padding } from "./padding.ts";
import type { PrefillScratch } from "./scratch.ts";

/** What one kv head keeps: rows of the scratch and the true positions of their tokens, both ascending. */
export interface KeptTokens {
  readonly rows: Int32Array;
  readonly positions: Int32Array;
}

export interface CompactOptions {
  readonly type: TensorType;
  readonly padding: Padding;
  /** Whether nobody else needs this layer's scratch any more. */
  readonly mayTakeOver: boolean;
}

/**
 * Moves the kept tokens of one layer from the scratch into a cache of just their size, converting to
 * the cache's type. Where everything is kept, the scratch's memory itself becomes the cache.
 */
export async function compact(
  executor: Executor,
  scratch: PrefillScratch,
  kept: readonly KeptTokens[],
  { type, padding, mayTakeOver }: CompactOptions,
): Promise<LayerCache> {
  const takesOver =
    mayTakeOver && type === scratch.type && kept.every((k) => k.rows.length === scratch.rows);
  const layer = new LayerCache(executor.backend, {
    type,
    headDim: scratch.shape.headDim,
    positions: kept.map((k) => k.positions),
    capacities: kept.map((k) =>
      takesOver ? scratch.capacity : capacityFor(k.positions.length, padding),
    ),
    padding,
    ...(takesOver ? { buffer: scratch.handOver() } : {}),
  });
  if (takesOver) return layer;
  try {
    await gather(executor, scratch, kept, layer);
  } catch (error) {
    layer[Symbol.dispose]();
    throw error;
  }
  return layer;
}

/** Any rows of any heads: one gather and one scatter for K, one each for V. */
async function gather(
  executor: Executor,
  scratch: PrefillScratch,
  kept: readonly KeptTokens[],
  layer: LayerCache,
): Promise<void> {
  const total = kept.reduce((sum, k) => sum + k.rows.length, 0);
  if (total === 0) return;
  const from = new Int32Array(total);
  const to = new Int32Array(total);
  let at = 0;
  kept.forEach(({ rows }, h) => {
    const firstRow = layer.heads[h]?.row ?? 0;
    rows.forEach((row, i) => {
      from[at] = h * scratch.capacity + row;
      to[at++] = firstRow + i;
    });
  });
  await executor.run((g) => {
    const fromRows = g.constant(TYPES.i32, [total], from);
    const toRows = g.constant(TYPES.i32, [total], to);
    g.expand(g.setRows(layer.k, g.getRows(scratch.k, fromRows), toRows));
    g.expand(g.setRows(layer.v, g.getRows(scratch.v, fromRows), toRows));
    return () => undefined;
  });
}
