import { expect, it } from "vitest";
import { KERNELS, tolerance } from "../../../test/helpers/kernels.ts";
import { randomTokens, TestFolder, type TinyOptions } from "../../../test/helpers/tiny-model.ts";
import { resolveCompression } from "../../compression/resolve.ts";
import { Device } from "../../ggml/device.ts";
import { chooseKernels } from "../../ggml/kernels/choices.ts";
import { readTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { rowBytes, TYPES } from "../../ggml/types.ts";
import { openGguf } from "../../gguf/file.ts";
import { kvFormat } from "../../kvcache/kv-format.ts";
import { KvCache } from "../../kvcache/kv-cache.ts";
import type { LayerCache } from "../../kvcache/layer-cache.ts";
import { Model } from "../../models/model.ts";
import { placedOn, type Stage } from "../../models/placement.ts";
import { StageDecoder } from "./stage-decoder.ts";
import { prefill } from "../read/prefill.ts";

const N = 300;

/**
 * One decode step over a full cache where each head sees only what a compressed one keeps: masks instead of
 * eviction, by ggml's operations. What evicting caches must give, whatever their heads' lengths.
 */
async function maskedStep(
  device: Device,
  model: Model,
  full: KvCache,
  kept: KvCache,
  token: number,
): Promise<Float32Array> {
  const { hp, graph } = model;
  return device.run((g) => {
    const position = g.constant(TYPES.i32, [1], Int32Array.of(N));
    const tokens = g.constant(TYPES.i32, [1], Int32Array.of(token));
    let x = graph.embed(g, tokens);
    for (let il = 0; il < hp.nLayer; il++) {
      const qkv = graph.queryKeyValue(g, il, x, position);
      const layer = full.layers[il] as LayerCache;
      const rows = g.constant(
        TYPES.i32,
        [hp.nHeadKv],
        Int32Array.from(layer.heads, (h) => h.row + h.length),
      );
      const perHead = (t: Tensor) => g.reshape(g.contiguous(t), hp.headDim, hp.nHeadKv);
      g.expand(g.setRows(layer.k, perHead(graph.rotate(g, il, qkv.k, position)), rows));
      g.expand(g.setRows(layer.v, perHead(qkv.v), rows));
      const q = g.permute(graph.rotate(g, il, qkv.q, position), 0, 2, 1, 3);
      const group = hp.nHead / hp.nHeadKv;
      const parts = layer.heads.map(({ row, capacity }, h) => {
        const bytes = rowBytes(TYPES.f16, hp.headDim);
        const view = (t: Tensor) =>
          g.view3d(t, [hp.headDim, capacity, 1], [bytes, bytes], row * bytes);
        const mask = new Float32Array(capacity).fill(-Infinity);
        for (const p of kept.layers[il]?.positions(h) ?? []) mask[p] = 0;
        mask[N] = 0;
        const headBytes = hp.headDim * 4;
        const own = g.view3d(
          q,
          [hp.headDim, 1, group],
          [headBytes * hp.nHead, headBytes],
          h * group * headBytes,
        );
        const scores = g.mulMat(g.cast(view(layer.k), TYPES.f32), own); // [capacity, 1, group]
        const visible = g.add(scores, g.constant(TYPES.f32, [capacity, 1], mask));
        const weights = g.softMaxScaled(visible, 1 / Math.sqrt(hp.headDim));
        const columns = g.permute(g.cast(view(layer.v), TYPES.f32), 1, 0, 2, 3);
        const out = g.mulMat(g.contiguous(columns), weights); // [headDim, 1, group]
        return g.reshape(out, hp.headDim, group);
      });
      const attended = parts.reduce((all, part) => g.concat(all, part, 1));
      const flat = g.reshape(attended, hp.headDim * hp.nHead, 1);
      x = graph.finishLayer(g, il, x, flat, { tokens });
    }
    const logits = g.output(graph.logits(g, x));
    return () => readTensor(logits, new Float32Array(hp.nVocab));
  }, 4096);
}

const groups: Readonly<Record<string, TinyOptions>> = {
  "one query head a kv head": { nHead: 4, nHeadKv: 4 },
  "three query heads": { nHead: 6, nHeadKv: 2, nEmbd: 96 },
  "eight query heads": { nHead: 8, nHeadKv: 1, nEmbd: 128 },
};
const methods = ["snapkv", "pyramidkv", "funnel", "ada(snapkv)", "cake(snapkv)", "h2o", "knorm"];
const cases = KERNELS.flatMap((kernels) =>
  Object.keys(groups).flatMap((group) =>
    methods.map((method) => [method, group, kernels] as const),
  ),
);

it.each(cases)("%s, %s, decodes with %s as a full cache that is masked", async (...names) => {
  const [method, group, kernels] = names;
  using folder = new TestFolder();
  await using file = await openGguf(folder.tiny({ nLayer: 3, ...groups[group] }));
  using device = new Device({ threads: 2, kernels: chooseKernels(kernels).variant });
  using model = await Model.load(placedOn(device), file);
  using full = new KvCache(model.hp, kvFormat("f16", model.hp));
  using kept = new KvCache(model.hp, kvFormat("f16", model.hp));
  const target = (cache: KvCache, name: string) => ({
    cache,
    cut: true,
    room: 0,
    compression: resolveCompression({ method: name, kvSize: 48 }),
  });
  await prefill({
    model,
    tokens: randomTokens(N),
    probe: [],
    firstPosition: 0,
    chunkTokens: 128,
    targets: [target(full, "full"), target(kept, method)],
  });
  const expected = await maskedStep(device, model, full, kept, 7);
  using stage = new StageDecoder(model, model.stages[0] as Stage);
  const logits = new Float32Array(model.hp.nVocab);
  const step = { cache: kept, token: 7, position: N, logits };
  await stage.step([step], { input: undefined, outputs: [logits] });
  // ggml's own attention of a single query sums in f16.
  const limit = kernels === "ggml" ? 0.03 : tolerance(kernels, 2e-3);
  const worst = logits.reduce((m, x, i) => Math.max(m, Math.abs(x - (expected[i] ?? NaN))), 0);
  expect(worst).toBeLessThan(limit);
});
