import { gather, type GatherOptions, type TurnKeys } from "./gather.ts";
import { LayerCache, slidOut } from "./layer-cache.ts";
import { capacityFor, WINDOW_SLACK } from "./padding.ts";
import { complement, type HeadRows } from "./rows.ts";

/**
 * A part of a layer's cache as a smaller one of just its size; the caller frees the old one.
 *
 * @param kept per kv head, places within what it holds, ascending
 * @param room rows to keep free in each head
 */
export async function shrink(
  layer: LayerCache,
  kept: readonly Int32Array[],
  { room = 0, mergeWeight }: Pick<GatherOptions, "mergeWeight"> & { readonly room?: number } = {},
): Promise<LayerCache> {
  const smaller = new LayerCache(layer.device, {
    format: layer.format,
    headDim: layer.headDim,
    positions: layer.heads.map((head, h) => picked(head.positions, kept[h] as Int32Array)),
    capacities: kept.map((k) => capacityFor(k.length + room, "compressed")),
    padding: "compressed",
    window: layer.window,
  });
  try {
    await gather(layer, rowsOf(layer, kept, mergeWeight), smaller, { mergeWeight });
  } catch (error) {
    smaller[Symbol.dispose]();
    throw error;
  }
  return smaller;
}

/**
 * Evicts all but `kept` from a layer's cache, within its own memory, so that graphs which read it stay valid.
 *
 * @param moved where the newest token kept moves to, the others right before it; nowhere by default
 */
export async function evict(
  layer: LayerCache,
  kept: readonly Int32Array[],
  {
    moved,
    mergeWeight,
  }: Pick<GatherOptions, "mergeWeight"> & {
    readonly moved?: { readonly to: number; readonly turn: TurnKeys } | undefined;
  } = {},
): Promise<void> {
  const heads = rowsOf(layer, kept, mergeWeight);
  const positions = layer.heads.map((head, h) => picked(head.positions, kept[h] as Int32Array));
  const places = positions.map((headPositions) =>
    moved === undefined ? { positions: headPositions } : movedTo(moved.to, headPositions),
  );
  const turned = heads.map((head, h) => ({ ...head, ...places[h] }));
  await gather(layer, turned, layer, { turn: moved?.turn, mergeWeight });
  layer.heads.forEach((head, h) =>
    head.replace((places[h] as { positions: Int32Array }).positions),
  );
}

/** Evicts what lies before the layers' sliding windows, once it is enough to pay. */
export async function slide(layers: readonly LayerCache[]): Promise<void> {
  for (const layer of layers) {
    if (layer.window === undefined) continue;
    const unseen = layer.heads.map((head) => slidOut(head.length, layer.window));
    if (unseen.every((n) => n < WINDOW_SLACK)) continue;
    const kept = layer.heads.map(({ length }, h) => newest(length, length - (unseen[h] as number)));
    await evict(layer, kept);
  }
}

/** Places of the newest `n` of `nTokens` tokens. */
export function newest(nTokens: number, n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => nTokens - n + i);
}

/** Tokens at the positions that end with `newest`, in their order, and how far each key turns. */
export function movedTo(
  newest: number,
  positions: Int32Array,
): { positions: Int32Array; turns: Int32Array } {
  const places = positions.map((_, i) => newest - positions.length + 1 + i);
  return { positions: places, turns: places.map((p, i) => p - (positions[i] as number)) };
}

function rowsOf(layer: LayerCache, kept: readonly Int32Array[], mergeWeight?: number): HeadRows[] {
  return layer.heads.map(({ row, length }, h) => {
    const positions = kept[h] as Int32Array;
    const rows = (places: Int32Array) => places.map((place) => row + place);
    // Only what is merged needs to be found.
    const evicted = mergeWeight === undefined ? undefined : rows(complement(positions, length));
    return { rows: rows(positions), evicted };
  });
}

function picked(values: Int32Array, places: Int32Array): Int32Array {
  return places.map((place) => values[place] as number);
}
