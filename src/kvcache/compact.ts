import { gather, type GatherOptions } from "./gather.ts";
import type { KvFormat } from "./kv-format.ts";
import { LayerCache } from "./layer-cache.ts";
import { capacityFor, windowed, type Padding } from "./padding.ts";
import type { HeadRows } from "./rows.ts";
import type { LayerScratch } from "./layer-scratch.ts";

/** What one kv head keeps: its tokens by place, the first that it holds is 0, and their positions, both ascending. */
export interface KeptTokens extends HeadRows {
  readonly positions: Int32Array;
}

export interface CompactOptions extends GatherOptions {
  readonly format: KvFormat;
  readonly padding: Padding;
  /** Rows to keep free in each head. Defaults to 0. */
  readonly room?: number;
  /** Whether nobody else needs this layer's scratch any more. */
  readonly mayTakeOver: boolean;
}

/**
 * Moves the kept tokens of one layer from the scratch into a cache of just their size, converting to
 * the cache's format. Where everything is kept, the scratch's memory itself becomes the cache.
 */
export async function compact(
  scratch: LayerScratch,
  kept: readonly KeptTokens[],
  { format, padding, room = 0, mayTakeOver, turn, mergeWeight }: CompactOptions,
): Promise<LayerCache> {
  const { window } = scratch.shape;
  const isLike = format.type === scratch.type && format.hadamard === scratch.format.hadamard;
  const keepsAllRows = kept.every(({ rows }) => rows.length === scratch.rows);
  const takesOver = mayTakeOver && isLike && keepsAllRows;
  const layer = new LayerCache(scratch.device, {
    format,
    headDim: scratch.shape.headDim,
    positions: kept.map((k) => k.positions),
    capacities: kept.map((k) => {
      if (takesOver) return scratch.capacity;
      return windowed(capacityFor(k.positions.length + room, padding), window);
    }),
    padding,
    window,
    ...(takesOver ? { buffer: scratch.handOver() } : {}),
  });
  if (takesOver) return layer;
  const heads = kept.map(({ rows, turns, evicted }, h) => {
    const firstRow = scratch.row(h);
    const ofHead = (place: number) => firstRow + place;
    return { rows: rows.map(ofHead), turns, evicted: evicted?.map(ofHead) };
  });
  try {
    await gather(scratch, heads, layer, { turn, mergeWeight });
  } catch (error) {
    layer[Symbol.dispose]();
    throw error;
  }
  return layer;
}
