import type { Executor } from "../ggml/executor.ts";
import type { Graph } from "../ggml/graph.ts";
import type { Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { LayerCache } from "./layer-cache.ts";

/** Keys and values as rows of [headDim]. */
export interface RowSource {
  readonly k: Tensor;
  readonly v: Tensor;
}

/** Turns keys f32 [headDim, 1, n] on by so many positions each, i32 [n]. */
export type TurnKeys = (g: Graph, keys: Tensor, by: Tensor) => Tensor;

/** Rows of the source that a kv head takes, in order. */
export interface HeadRows {
  readonly rows: Int32Array;
  /** Positions that each key is turned on by, where tokens move. */
  readonly turns?: Int32Array | undefined;
}

/**
 * Copies any rows of any heads into the first rows of a layer's heads, converting to its type: one gather and
 * one scatter for K, one each for V. Everything is read before anything is written, so the source may be the
 * layer itself.
 */
export async function gather(
  executor: Executor,
  source: RowSource,
  heads: readonly HeadRows[],
  layer: LayerCache,
  turn?: TurnKeys,
): Promise<void> {
  const total = heads.reduce((sum, { rows }) => sum + rows.length, 0);
  if (total === 0) return;
  const from = new Int32Array(total);
  const to = new Int32Array(total);
  const turns = new Int32Array(total);
  let at = 0;
  heads.forEach((head, h) => {
    const firstRow = layer.heads[h]?.row ?? 0;
    head.rows.forEach((row, i) => {
      from[at] = row;
      turns[at] = head.turns?.[i] ?? 0;
      to[at++] = firstRow + i;
    });
  });
  const turned = turn !== undefined && turns.some((t) => t !== 0);
  await executor.run((g) => {
    const fromRows = g.constant(TYPES.i32, [total], from);
    const toRows = g.constant(TYPES.i32, [total], to);
    const keys = g.getRows(source.k, fromRows);
    const values = g.getRows(source.v, fromRows);
    const moved = turned
      ? g.reshape(
          turn(g, g.reshape(keys, layer.headDim, 1, total), g.constant(TYPES.i32, [total], turns)),
          layer.headDim,
          total,
        )
      : keys;
    g.expand(moved);
    g.expand(values);
    g.expand(g.setRows(layer.k, moved, toRows));
    g.expand(g.setRows(layer.v, values, toRows));
    return () => undefined;
  });
}
