import type { Engine } from "../../src/engine/engine.ts";

/** A layer's whole attention matrices. */
export interface WholeLayer {
  /** Weights of each query over the keys it sees: [nHead][n][query + 1]. */
  readonly weights: readonly (readonly number[])[][];
  /** [nHeadKv][n][headDim] */
  readonly values: readonly (readonly number[])[][];
}

/** Every layer's attention in plain loops from the layer's queries, keys and values. */
export async function wholeAttention(engine: Engine, tokens: Int32Array): Promise<WholeLayer[]> {
  const layers: WholeLayer[] = [];
  await engine.watchAttention(tokens, {
    queries: Int32Array.from(tokens.keys()),
    onLayer(layer) {
      const { n, nHeadKv, group, headDim, scale } = layer;
      const rows = (all: Float32Array, count: number) =>
        Array.from({ length: count }, (_, i) =>
          Array.from(all.subarray(i * headDim, (i + 1) * headDim)),
        );
      const kvHeads = Array.from({ length: nHeadKv }, (_, h) => h);
      layers.push({
        weights: kvHeads.flatMap((h) => {
          const [q, k] = [rows(layer.asked(h), n * group), rows(layer.keys(h), n)];
          return Array.from({ length: group }, (_, g) =>
            Array.from({ length: n }, (_, i) =>
              softMax(k.slice(0, i + 1).map((key) => scale * dot(q[g * n + i] as number[], key))),
            ),
          );
        }),
        values: kvHeads.map((h) => rows(layer.values(h), n)),
      });
    },
  });
  return layers;
}

/** Values of some tokens, weighted, with weights that sum to 1 again. */
export function attend(
  weights: readonly number[],
  values: readonly (readonly number[])[],
  tokens: readonly number[],
): number[] {
  const mass = tokens.reduce((sum, j) => sum + (weights[j] as number), 0);
  return (values[0] as readonly number[]).map((_, d) =>
    tokens.reduce(
      (sum, j) => sum + ((weights[j] as number) / mass) * (values[j]?.[d] as number),
      0,
    ),
  );
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
}

function softMax(logits: readonly number[]): number[] {
  const most = Math.max(...logits);
  const all = logits.map((x) => Math.exp(x - most));
  const total = all.reduce((a, b) => a + b, 0);
  return all.map((x) => x / total);
}
