import { describe, expect, it } from "vitest";
import { firstLayerQueriesAndKeys } from "../../test/helpers/reference-layer.ts";
import { F32_KERNELS } from "../../test/helpers/kernels.ts";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { keepTokens, layerBudgets } from "../compression/keep.ts";
import { METHODS, type MethodName } from "../compression/methods.ts";
import { referenceScores } from "../compression/reference.ts";
import { reduceGroup } from "../compression/scores/reduce.ts";
import { Engine } from "./engine.ts";

const N = 600; // two chunks: the observation window and the sums cross their border
const MODEL = { nLayer: 3 };

const names = Object.keys(METHODS) as MethodName[];

const cases = F32_KERNELS.flatMap((kernels) => names.map((method) => [method, kernels] as const));

describe.each(F32_KERNELS)("h2o with %s", (kernels) => {
  it("keeps the same whatever the chunks, the last of which may be one token", async () => {
    using folder = new TestFolder();
    const kept = await Promise.all(
      [128, 256, 1024].map(async (chunkTokens) => {
        const model = folder.tiny({ nLayer: 2 });
        await using engine = await Engine.load({ model, threads: 2, kernels, chunkTokens });
        using session = engine.createSession({ method: "h2o", kvSize: 48 });
        await session.prefill(randomTokens(257));
        return session.cache.layers.map((layer) => layer.heads.map((_, h) => layer.positions(h)));
      }),
    );
    expect(kept[1]).toEqual(kept[0]);
    expect(kept[2]).toEqual(kept[0]);
  });
});

describe.each(cases)("%s with %s", (method, kernels) => {
  it.each([
    { kvSize: 48 },
    { kvSize: 200, alpha: 100 },
    { kvSize: 64, alpha: 20, window: 3, gqa: "max" },
    { kvSize: 64, preset: "class-defaults", window: 10 },
  ])("keeps in the first layer what plain loops keep, %o", async (options) => {
    using folder = new TestFolder();
    const model = folder.tiny(MODEL);
    await using engine = await Engine.load({ model, threads: 1, kernels, chunkTokens: 512 });
    using session = engine.createSession({ method, ...options });
    const tokens = randomTokens(N);
    await session.prefill(tokens);

    const { compression } = session;
    const { alpha, gqa } = compression.options;
    const input = firstLayerQueriesAndKeys(MODEL, tokens);
    const nQueries = { nothing: 0, "window-queries": alpha, "all-queries": N };
    const values = referenceScores(input, nQueries[compression.method.needs]);
    const budget = layerBudgets(compression, MODEL.nLayer, N)[0] ?? 0;
    session.cache.layers[0]?.heads.forEach((_, head) => {
      const scores =
        compression.method.needs === "nothing"
          ? null
          : reduceGroup({ ...input, n: N, values }, head, gqa);
      const expected = keepTokens(compression, scores, N, budget);
      expect(session.cache.layers[0]?.positions(head)).toEqual(expected);
    });
  });
});
