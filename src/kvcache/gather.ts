import type { Graph } from "../ggml/graph.ts";
import type { Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import { transformed, type KvFormat } from "./kv-format.ts";
import type { LayerCache } from "./layer-cache.ts";
import { mergedValues } from "./merge.ts";
import type { HeadRows, RowSource } from "./rows.ts";

/** Rotates keys f32 [headDim, 1, n] further, each by its own number of positions, i32 [n]. */
export type TurnKeys = (g: Graph, keys: Tensor, by: Tensor) => Tensor;

export interface GatherOptions {
  /** How keys turn, where tokens move to other positions. */
  readonly turn?: TurnKeys | undefined;
  /** Evicted values are averaged into those kept, each by this weight. */
  readonly mergeWeight?: number | undefined;
}

/**
 * Copies any rows of any heads into the first rows of a layer's heads, converting to its format: one gather and
 * one scatter for K, one each for V. Everything is read before anything is written, so the source may be the
 * layer itself.
 */
export async function gather(
  source: RowSource,
  heads: readonly HeadRows[],
  layer: LayerCache,
  { turn, mergeWeight: weight }: GatherOptions = {},
): Promise<void> {
  const total = heads.reduce((sum, { rows }) => sum + rows.length, 0);
  if (total === 0) return;
  const { headDim } = layer;
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
  const merged =
    weight !== undefined && heads.some(({ evicted }) => (evicted?.length ?? 0) > 0)
      ? await mergedValues(source, heads, { weight, headDim })
      : undefined;
  await layer.device.run((g) => {
    const fromRows = g.constant(TYPES.i32, [total], from);
    const toRows = g.constant(TYPES.i32, [total], to);
    const differs = source.format.hadamard !== layer.format.hadamard;
    const convert = (
      rows: Tensor,
      { hadamard: block }: Pick<KvFormat, "hadamard">,
      needed: boolean,
    ) => (needed ? transformed(g, rows, headDim, block) : rows);
    const keys = convert(g.getRows(source.k, fromRows), source.format, turned || differs);
    const moved = turned
      ? g.reshape(
          turn(g, g.reshape(keys, headDim, 1, total), g.constant(TYPES.i32, [total], turns)),
          headDim,
          total,
        )
      : keys;
    const values =
      merged === undefined
        ? g.getRows(source.v, fromRows)
        : g.constant(TYPES.f32, [headDim, total], merged);
    const k = convert(moved, layer.format, turned || differs);
    const v = convert(convert(values, source.format, differs), layer.format, differs);
    g.expand(k);
    if (source.v === layer.v) g.expand(v);
    g.expand(g.setRows(layer.k, k, toRows));
    g.expand(g.setRows(layer.v, v, toRows));
    return () => undefined;
  });
}
