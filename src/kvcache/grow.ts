import type { Executor } from "../ggml/executor.ts";
import type { Graph } from "../ggml/graph.ts";
import { LayerCache } from "./layer-cache.ts";
import { grownCapacity } from "./padding.ts";

/** Whether a cache gains room by moving: it is full, or moving it along with a full one saves a later move. */
export function canGrow(layer: LayerCache): boolean {
  return layer.heads.some((h) => h.capacity < grownCapacity(h.length, layer.padding));
}

/** The same cache in larger memory; the caller frees the old one. */
export async function grow(executor: Executor, layer: LayerCache): Promise<LayerCache> {
  const { type, headDim, padding } = layer;
  const larger = new LayerCache(executor.backend, {
    type,
    headDim,
    positions: layer.heads.map((h) => h.positions),
    capacities: layer.heads.map((h) => Math.max(h.capacity, grownCapacity(h.length, padding))),
    padding,
  });
  const copyRows = (g: Graph) => {
    layer.heads.forEach(({ row, length }, h) => {
      const to = larger.heads[h]?.row ?? 0;
      if (length === 0) return;
      const rows = (tensor: typeof layer.k, first: number) =>
        g.rows(tensor, type, headDim, first, length);
      g.expand(g.copy(rows(layer.k, row), rows(larger.k, to)));
      g.expand(g.copy(rows(layer.v, row), rows(larger.v, to)));
    });
    return () => undefined;
  };
  try {
    await executor.run(copyRows, 8 * layer.heads.length + 16);
  } catch (error) {
    larger[Symbol.dispose]();
    throw error;
  }
  return larger;
}
