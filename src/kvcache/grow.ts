import type { InputGraph } from "../ggml/input-graph.ts";
import { allOrNone } from "../ggml/owner.ts";
import type { Tensor } from "../ggml/tensor-buffer.ts";
import { rowBytes } from "../ggml/types.ts";
import type { HeadCache } from "./head-cache.ts";
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
  const larger = allOrNone(layers.map((layer) => () => enlarged(layer)));
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

/** A node for K and one for V of heads that are alike, as they are in the larger memory too. */
function copyRows(g: InputGraph, from: LayerCache, to: LayerCache): void {
  const { format, headDim } = from;
  const bytes = rowBytes(format.type, headDim);
  for (const { firstHead, nHeadKv, row, capacity, length } of from.groups()) {
    if (length === 0) continue;
    const into = to.heads[firstHead] as HeadCache;
    const size = [headDim, length, nHeadKv] as const;
    const rows = (tensor: Tensor, first: number, step: number) =>
      g.view3d(tensor, size, [bytes, step * bytes], first * bytes);
    for (const of of ["k", "v"] as const) {
      g.expand(g.copy(rows(from[of], row, capacity), rows(to[of], into.row, into.capacity)));
    }
  }
}
