import type { Executor } from "../ggml/executor.ts";
import { rowBytes, TYPES, type TensorType } from "../ggml/types.ts";
import { LayerCache } from "./layer-cache.ts";
import type { PrefillScratch } from "./scratch.ts";

/** What one kv head keeps: rows of the scratch and the true positions of their tokens, both ascending. */
export interface KeptTokens {
  readonly rows: Int32Array;
  readonly positions: Int32Array;
}

/**
 * Moves the kept tokens of one layer from the scratch into a cache of just their size, converting to
 * the cache's type. Nothing of the scratch is needed afterwards.
 *
 * @param step rows are allocated in multiples of this, with room for one more token at least
 */
export async function compact(
  executor: Executor,
  scratch: PrefillScratch,
  kept: readonly KeptTokens[],
  type: TensorType,
  step: number,
): Promise<LayerCache> {
  const layer = new LayerCache(executor.backend, {
    type,
    headDim: scratch.shape.headDim,
    positions: kept.map((k) => k.positions),
    room: kept.map((k) => k.positions.length + 1),
    step,
  });
  try {
    if (type === scratch.type && keepsAll(kept, scratch.rows)) {
      await copyAll(executor, scratch, layer);
    } else {
      await gather(executor, scratch, kept, layer);
    }
  } catch (error) {
    layer[Symbol.dispose]();
    throw error;
  }
  return layer;
}

function keepsAll(kept: readonly KeptTokens[], rows: number): boolean {
  return kept.every((k) => k.rows.length === rows);
}

/** The whole scratch, head by head, as one strided copy. */
async function copyAll(
  executor: Executor,
  scratch: PrefillScratch,
  layer: LayerCache,
): Promise<void> {
  const row = rowBytes(layer.type, layer.headDim);
  const capacity = layer.heads[0]?.capacity ?? 0;
  await executor.run((g) => {
    for (const [from, to] of [
      [scratch.k, layer.k],
      [scratch.v, layer.v],
    ] as const) {
      const shape = [layer.headDim, scratch.rows, layer.heads.length] as const;
      g.expand(g.copy(from, g.view3d(to, shape, [row, row * capacity], 0)));
    }
    return () => undefined;
  });
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
      from[at] = h * scratch.rows + row;
      to[at++] = firstRow + i;
    });
  });
  await executor.run((g) => {
    const fromRows = g.constant(TYPES.i32, [total], from);
    const toRows = g.constant(TYPES.i32, [total], to);
    g.expand(g.setRows(layer.k, g.getRows(scratch.matrix(g, scratch.k), fromRows), toRows));
    g.expand(g.setRows(layer.v, g.getRows(scratch.matrix(g, scratch.v), fromRows), toRows));
    return () => undefined;
  });
}
