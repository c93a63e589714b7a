import type { Executor } from "../ggml/executor.ts";
import { LayerCache } from "./layer-cache.ts";

/** The same cache with room for `extra` more tokens in each head; the caller frees the old one. */
export async function grow(
  executor: Executor,
  layer: LayerCache,
  extra: number,
): Promise<LayerCache> {
  const { type, headDim, step } = layer;
  const larger = new LayerCache(executor.backend, {
    type,
    headDim,
    positions: layer.heads.map((h) => h.positions),
    room: layer.heads.map((h) => h.length + extra),
    step,
  });
  await executor.run((g) => {
    layer.heads.forEach(({ row, length }, h) => {
      const to = larger.heads[h]?.row ?? 0;
      if (length === 0) return;
      const rows = (tensor: typeof layer.k, first: number) =>
        g.rows(tensor, type, headDim, first, length);
      g.expand(g.copy(rows(layer.k, row), rows(larger.k, to)));
      g.expand(g.copy(rows(layer.v, row), rows(larger.v, to)));
    });
    return () => undefined;
  });
  return larger;
}
