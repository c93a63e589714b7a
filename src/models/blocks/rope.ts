import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";
import type { LayerShape } from "../layer-shape.ts";

/**
 * (1, 0) pairs, `n` times f32 [headDim]. Rotated, they are the cosines and sines of their positions, just as
 * ggml computes them: with frequency factors, YaRN and all. Dimensions that are not rotated are 0.
 */
export function unitPairs(
  { headDim, rope }: Pick<LayerShape, "headDim" | "rope">,
  n: number,
): Float32Array {
  const half = rope.dims / 2;
  const pairs = new Float32Array(headDim * n);
  for (let i = 0; i < n; i++) {
    for (let pair = 0; pair < half; pair++) {
      pairs[i * headDim + (rope.mode === ROPE_NEOX ? pair : 2 * pair)] = 1;
    }
  }
  return pairs;
}
