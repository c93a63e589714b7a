import { afterAll, beforeAll, expect, it } from "vitest";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { maxAbsDifference } from "../bench/statistics.ts";
import type { LayerAttention } from "./observe/attention-observer.ts";
import { Engine } from "./engine.ts";

const N = 150;
const tokens = randomTokens(N);
let folder: TestFolder;
let path: string;
beforeAll(() => {
  folder = new TestFolder();
  path = folder.tiny({ vocabulary: true });
});
afterAll(() => folder[Symbol.dispose]());

for (const kernels of ["auto", "ggml"]) {
  it(`shows what chosen queries attend to, and what they get (${kernels})`, async () => {
    await using engine = await Engine.load({ model: path, threads: 1, kernels, chunkTokens: 64 });
    const queries = Int32Array.of(0, 3, 64, 65, 149);
    let layers = 0;
    await engine.watchAttention(tokens, {
      queries,
      onLayer: async (layer) => {
        expect(layer.il).toBe(layers++);
        for (let kvHead = 0; kvHead < layer.nHeadKv; kvHead++) {
          const { weights, outputs } = await layer.attention(kvHead);
          const expected = plain(layer, kvHead);
          expect(weights).toHaveLength(expected.weights.length);
          expect(outputs).toHaveLength(expected.outputs.length);
          expect(maxAbsDifference(weights, expected.weights)).toBeLessThan(1e-5);
          expect(maxAbsDifference(outputs, expected.outputs)).toBeLessThan(1e-5);
        }
      },
    });
    expect(layers).toBe(engine.model.nLayer);
  });
}

it("refuses queries that are not there, and stops when asked", async () => {
  await using engine = await Engine.load({ model: path, threads: 1 });
  const onLayer = () => undefined;
  const watch = (...queries: number[]) =>
    engine.watchAttention(tokens, { queries: Int32Array.from(queries), onLayer });
  await expect(watch()).rejects.toThrow("no queries");
  await expect(watch(3, 3)).rejects.toThrow("query must be 4 to 149, got 3");
  await expect(watch(150)).rejects.toThrow("query must be 0 to 149, got 150");
  const signal = AbortSignal.abort();
  const queries = Int32Array.of(1);
  await expect(engine.watchAttention(tokens, { queries, onLayer, signal })).rejects.toMatchObject({
    code: "ABORTED",
  });
  await expect(
    engine.watchAttention(tokens, { queries, onLayer: () => Promise.reject(new Error("mine")) }),
  ).rejects.toThrow("mine");
});

/** The same in plain loops, from the layer's own queries, keys and values. */
function plain(layer: LayerAttention, kvHead: number) {
  const { headDim, group, n, queries, scale } = layer;
  const [q, k, v] = [layer.asked(kvHead), layer.keys(kvHead), layer.values(kvHead)];
  const weights = new Float32Array(n * queries.length * group);
  const outputs = new Float32Array(headDim * queries.length * group);
  const dot = (row: number, j: number) => {
    let sum = 0;
    for (let d = 0; d < headDim; d++) {
      sum += (q[row * headDim + d] as number) * (k[j * headDim + d] as number);
    }
    return sum;
  };
  for (let row = 0; row < queries.length * group; row++) {
    const last = queries[row % queries.length] as number;
    const all = Array.from({ length: last + 1 }, (_, j) => Math.exp(dot(row, j) * scale));
    const total = all.reduce((a, b) => a + b, 0);
    all.forEach((x, j) => {
      weights[row * n + j] = x / total;
      for (let d = 0; d < headDim; d++) {
        const at = row * headDim + d;
        outputs[at] = (outputs[at] as number) + (x / total) * (v[j * headDim + d] as number);
      }
    });
  }
  return { weights, outputs };
}
