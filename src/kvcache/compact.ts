import type { Executor } from "../ggml/executor.ts";
import type { TensorType } from "../ggml/types.ts";
import { gather, type HeadRows, type TurnKeys } from "./gather.ts";
import { LayerCache } from "./layer-cache.ts";
import { capacityFor, type Padding } from "./padding.ts";
import type { PrefillScratch } from "./scratch.ts";

/** What one kv head keeps: rows of the scratch and the positions of their tokens, both ascending. */
export interface KeptTokens extends HeadRows {
  readonly positions: Int32Array;
}

export interface CompactOptions {
  readonly type: TensorType;
  readonly padding: Padding;
  /** Rows to keep free in each head. Defaults to 0. */
  readonly room?: number;
  /** Whether nobody else needs this layer's scratch any more. */
  readonly mayTakeOver: boolean;
  /** How keys turn, where tokens move to other positions. */
  readonly turn?: TurnKeys | undefined;
}

/**
 * Moves the kept tokens of one layer from the scratch into a cache of just their size, converting to
 * the cache's type. Where everything is kept, the scratch's memory itself becomes the cache.
 */
export async function compact(
  executor: Executor,
  scratch: PrefillScratch,
  kept: readonly KeptTokens[],
  { type, padding, room = 0, mayTakeOver, turn }: CompactOptions,
): Promise<LayerCache> {
  const takesOver =
    mayTakeOver && type === scratch.type && kept.every((k) => k.rows.length === scratch.rows);
  const layer = new LayerCache(executor.backend, {
    type,
    headDim: scratch.shape.headDim,
    positions: kept.map((k) => k.positions),
    capacities: kept.map((k) =>
      takesOver ? scratch.capacity : capacityFor(k.positions.length + room, padding),
    ),
    padding,
    ...(takesOver ? { buffer: scratch.handOver() } : {}),
  });
  if (takesOver) return layer;
  const heads = kept.map(({ rows, turns }, h) => ({
    rows: rows.map((row) => h * scratch.capacity + row),
    turns,
  }));
  try {
    await gather(executor, scratch, heads, layer, turn);
  } catch (error) {
    layer[Symbol.dispose]();
    throw error;
  }
  return layer;
}
