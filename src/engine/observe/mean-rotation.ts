import { readTensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import { unitPairs } from "../../models/blocks/rope.ts";
import type { Model, ModelLayer } from "../../models/model.ts";

/** A layer's rotation of the next `n` positions, averaged: (cos, sin) where a rotated pair has them, [headDim]. */
export function meanRotation(
  { layers, graph }: Model,
  il: number,
  { first, n }: { readonly first: number; readonly n: number },
): Promise<Float32Array> {
  const layer = layers[il] as ModelLayer;
  const { headDim, device } = layer;
  return device.run((g) => {
    const pairs = g.constant(TYPES.f32, [headDim, 1, n], unitPairs(layer, n));
    const positions = Int32Array.from({ length: n }, (_, i) => first + i);
    const table = g.output(graph.rotate(g, il, pairs, g.constant(TYPES.i32, [n], positions)));
    return () => {
      const rows = readTensor(table, new Float32Array(headDim * n));
      const mean = new Float32Array(headDim);
      rows.forEach((x, i) => (mean[i % headDim] = (mean[i % headDim] as number) + x / n));
      return mean;
    };
  });
}
