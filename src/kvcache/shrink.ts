import type { Executor } from "../ggml/executor.ts";
import { gather, type TurnKeys } from "./gather.ts";
import { LayerCache } from "./layer-cache.ts";
import { capacityFor } from "./padding.ts";

/**
 * A part of a layer's cache as a smaller one of just its size; the caller frees the old one.
 *
 * @param kept per kv head, places within what it holds, ascending
 * @param room rows to keep free in each head
 */
export async function shrink(
  executor: Executor,
  layer: LayerCache,
  kept: readonly Int32Array[],
  room = 0,
): Promise<LayerCache> {
  const smaller = new LayerCache(executor.backend, {
    type: layer.type,
    headDim: layer.headDim,
    positions: layer.heads.map((head, h) => picked(head.positions, kept[h] as Int32Array)),
    capacities: kept.map((k) => capacityFor(k.length + room, "compressed")),
    padding: "compressed",
  });
  try {
    await gather(executor, layer, rowsOf(layer, kept), smaller);
  } catch (error) {
    smaller[Symbol.dispose]();
    throw error;
  }
  return smaller;
}

/**
 * Evicts all but `kept` from a layer's cache, within its own memory, so that graphs which read it stay valid.
 *
 * @param movedTo where the newest token kept moves to, the others right before it; nowhere by default
 */
export async function evict(
  executor: Executor,
  layer: LayerCache,
  kept: readonly Int32Array[],
  moved?: { readonly to: number; readonly turn: TurnKeys },
): Promise<void> {
  const heads = rowsOf(layer, kept);
  const positions = layer.heads.map((head, h) => picked(head.positions, kept[h] as Int32Array));
  const places = positions.map((own) =>
    moved === undefined ? own : own.map((_, i) => moved.to - own.length + 1 + i),
  );
  const turned = heads.map((head, h) => ({
    ...head,
    turns: positions[h]?.map((p, i) => (places[h]?.[i] as number) - p),
  }));
  await gather(executor, layer, turned, layer, moved?.turn);
  layer.heads.forEach((head, h) => head.replace(places[h] as Int32Array));
}

function rowsOf(layer: LayerCache, kept: readonly Int32Array[]) {
  return layer.heads.map(({ row }, h) => ({
    rows: (kept[h] as Int32Array).map((place) => row + place),
  }));
}

function picked(values: Int32Array, places: Int32Array): Int32Array {
  return places.map((place) => values[place] as number);
}
