import type { InputGraph } from "../ggml/input-graph.ts";
import { LayerCache } from "./layer-cache.ts";
import { grownCapacity, windowed } from "./padding.ts";

/** Whether a cache gains room by moving: it is full, or moving it along with a full one saves a later move. */
export function canGrow(layer: LayerCache): boolean {
  return layer.heads.some((h) => h.capacity < rowsWanted(layer, h.length));
}

function rowsWanted({ padding, window }: Pick<LayerCache, "padding" | "window">, n: number) {
  return windowed(grownCapacity(n, padding), window);
}

/** The same caches in larger memory, all of one device, moved by one graph; the caller frees the old ones. */
export async function grow(layers: readonly LayerCache[]): Promise<LayerCache[]> {
  const larger = layers.map(enlarged);
  const nodes = layers.reduce((sum, layer) => sum + 8 * layer.heads.length, 16);
  const copyAll = (g: InputGraph) => {
    layers.forEach((layer, i) => copyRows(g, layer, larger[i] as LayerCache));
    return () => undefined;
  };
  try {
    await larger[0]?.device.run(copyAll, nodes);
  } catch (error) {
    for (const layer of larger) layer[Symbol.dispose]();
    throw error;
  }
  return larger;
}

function enlarged(layer: LayerCache): LayerCache {
  const { format, headDim, padding, window, heads } = layer;
  return new LayerCache(layer.device, {
    format,
    headDim,
    padding,
    window,
    positions: heads.map((h) => h.positions),
    capacities: heads.map((h) => Math.max(h.capacity, rowsWanted(layer, h.length))),
  });
}

function copyRows(g: InputGraph, from: LayerCache, to: LayerCache): void {
  from.heads.forEach(({ row, length }, h) => {
    if (length === 0) return;
    const toRow = to.heads[h]?.row ?? 0;
    const rows = (tensor: typeof from.k, first: number) =>
      g.rows(tensor, from.format.type, from.headDim, first, length);
    g.expand(g.copy(rows(from.k, row), rows(to.k, toRow)));
    g.expand(g.copy(rows(from.v, row), rows(to.v, toRow)));
  });
}
