import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { referenceScores } from "../compression/reference.ts";
import { firstLayer } from "../../test/helpers/reference-layer.ts";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { buildGguf } from "../../test/helpers/gguf-writer.ts";
import { tinyModel } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { analyze } from "./analyze.ts";
import { fitBudget } from "./fit.ts";
import { narrowsAt } from "./narrowing.ts";
import { Ranker } from "./ranked.ts";
import { retention } from "./retention.ts";

const N = 300;
const tokens = randomTokens(N);
const ALL = { spread: N };
let folder: TestFolder;
beforeAll(() => void (folder = new TestFolder()));
afterAll(() => folder[Symbol.dispose]());

/** A model whose queries are all 0: every query attends to all its keys alike. */
function evenModel(): string {
  const { metadata, tensors } = tinyModel({ vocabulary: true });
  for (const tensor of tensors) if (tensor.name.includes("attn_q")) tensor.data.fill(0);
  return folder.file("even.gguf", buildGguf(metadata, tensors));
}

describe("a model that attends to all tokens alike", () => {
  const mean = (of: (seen: number) => number) =>
    Array.from({ length: N }, (_, i) => of(i + 1)).reduce((a, b) => a + b) / N;

  it("has the closed form's figures", async () => {
    await using engine = await Engine.load({ model: evenModel(), threads: 1 });
    const { funnel, locality, maps } = await analyze(engine, tokens, ALL);
    const near = (x: number | undefined, y: number) => expect(x).toBeCloseTo(y, 5);
    funnel.topKs.forEach((k, i) => {
      near(
        funnel.topMass[1]?.[2]?.[i],
        mean((n) => Math.min(1, k / n)),
      );
      near(funnel.reach[2]?.[1]?.[i], Math.min(1, k / (N - 64)));
    });
    near(
      funnel.entropy[0]?.[0],
      mean((n) => Math.log(n)),
    );
    expect(funnel.effectiveKeys[0]?.[3]).toBeCloseTo((N + 1) / 2, 2);
    near(
      funnel.sinks[1]?.[1],
      mean((n) => Math.min(4, n) / n),
    );
    near(
      funnel.window[1]?.[1],
      mean((n) => Math.min(8, n) / n),
    );
    expect(funnel.narrowsAt).toBeUndefined();
    near(
      locality.byDistance[0]?.[0]?.[0],
      mean((n) => 1 / n),
    );
    near(
      locality.outside[0]?.[0]?.[1],
      mean((n) => Math.max(0, n - 128 - 4) / n),
    );
    expect(maps.maps[0]?.[0]?.[(N - 1) * maps.columns]).toBeCloseTo(1 / N, 6);
    const first = maps.massive.find(({ il, position }) => il === 0 && position === 0);
    near(
      first?.share,
      mean((n) => 1 / n),
    );
  });
});

it("agrees with plain loops on whole matrices", async () => {
  const options = { vocabulary: true } as const;
  await using engine = await Engine.load({
    ...{ model: folder.tiny(options), threads: 2, kernels: "ggml" },
  });
  const { funnel, locality, needs } = await analyze(engine, tokens, ALL);
  const layer = firstLayer(options, tokens);
  // Each query's row on its own: what the last query of the text's first i + 1 tokens gives.
  const row = (head: number, i: number) =>
    Array.from(
      referenceScores(prefix(layer, i + 1), { nQueries: 1 }).slice(
        head * (i + 1),
        (head + 1) * (i + 1),
      ),
    );
  const rows = Array.from({ length: N }, (_, i) => row(1, i));
  const over = (of: (w: number[]) => number) => rows.map(of).reduce((a, b) => a + b) / N;
  const sum = (all: readonly number[]) => all.reduce((a, b) => a + b, 0);
  const close = (x: number | undefined, y: number) =>
    expect(Math.abs((x ?? NaN) - y)).toBeLessThan(1e-4);
  funnel.topKs.forEach((k, i) => {
    close(
      funnel.topMass[0]?.[1]?.[i],
      over((w) => sum(w.toSorted((a, b) => b - a).slice(0, k))),
    );
  });
  close(
    funnel.entropy[0]?.[1],
    over((w) => -sum(w.map((x) => x * Math.log(x)))),
  );
  locality.distances.forEach((from, i) => {
    const to = locality.distances[i + 1] ?? Infinity;
    const within = (w: number[]) =>
      sum(w.filter((_, j) => w.length - 1 - j >= from && w.length - 1 - j < to));
    close(locality.byDistance[0]?.[1]?.[i], over(within));
  });
  // The fewest keys for 5 %, by trying every number of them.
  const fewest = [0, 1].flatMap((head) =>
    Array.from({ length: N }, (_, i) => fewestKeys(row(head, i), layer.v, layer.headDim, 0.05)),
  );
  const rising = fewest.sort((a, b) => a - b);
  expect(needs.own[0]?.[0]?.[2]).toEqual(
    [0.1, 0.5, 0.9].map((q) => rising[Math.floor(q * (rising.length - 1))]),
  );
});

type Layer = ReturnType<typeof firstLayer>;

function prefix(layer: Layer, n: number): Layer {
  const cut = (all: Float32Array, heads: number) => {
    const out = new Float32Array(heads * n * layer.headDim);
    for (let h = 0; h < heads; h++) {
      const from = h * layer.nTokens * layer.headDim;
      out.set(all.subarray(from, from + n * layer.headDim), h * n * layer.headDim);
    }
    return out;
  };
  const { q, k, v, nHead, nHeadKv } = layer;
  return { ...layer, q: cut(q, nHead), k: cut(k, nHeadKv), v: cut(v, nHeadKv), nTokens: n };
}

function fewestKeys(w: number[], v: Float32Array, headDim: number, most: number): number {
  const order = w.map((_, j) => j).sort((a, b) => (w[b] as number) - (w[a] as number) || a - b);
  const attend = (keys: number[]) => {
    const mass = keys.reduce((sum, j) => sum + (w[j] as number), 0);
    return Array.from({ length: headDim }, (_, d) =>
      keys.reduce((s, j) => s + ((w[j] as number) / mass) * (v[j * headDim + d] as number), 0),
    );
  };
  const whole = attend(order);
  for (let k = 1; ; k++) {
    const lost = Math.hypot(...attend(order.slice(0, k)).map((x, d) => x - (whole[d] as number)));
    if (lost <= most * Math.hypot(...whole)) return k;
  }
}

it("ranks as a sort does", () => {
  const weights = Float32Array.from(randomTokens(999), (t, i) => (i % 7 === 0 ? 0 : t / 321));
  const { order } = new Ranker(3).rank(weights);
  const expected = Array.from(weights.keys()).sort(
    (a, b) => (weights[b] as number) - (weights[a] as number) || a - b,
  );
  expect(Array.from(order)).toEqual(expected);
});

it("finds where a funnel narrows, and the budget that fits it", () => {
  expect(narrowsAt([100, 90, 110, 9, 11, 10])).toBe(3);
  expect(narrowsAt([9, 11, 100])).toBeUndefined();
  const reach = [[[0.1, 0.2]], [[0.9, 1]]]; // the lower layer needs more
  const fitted = fitBudget({ topKs: [16, 32], reach }, { kvSize: 32, n: 1000 });
  expect(fitted.budgets.reduce((a, b) => a + b)).toBe(64);
  expect(fitted.reached.fitted).toBeGreaterThanOrEqual(fitted.reached.even);
});

it("tells what ways keep, and how that serves what follows", async () => {
  await using engine = await Engine.load({ model: evenModel(), threads: 1 });
  const ways = [
    { method: "streaming-llm", kvSize: 40 },
    { method: "snapkv", kvSize: 40 },
    { method: "full" },
  ];
  const found = await retention(engine, tokens, { ways, follow: 100 });
  const [streaming, , full] = found.ways;
  expect(found.before).toBe(200);
  expect(streaming?.captured[0]?.[0]).toBeCloseTo(40 / 200, 5);
  expect(streaming?.best[0]).toBeCloseTo(40 / 200, 5);
  expect(streaming?.layerOverlap[0]?.[2]).toBe(1);
  expect(full?.drift.every((x) => Math.abs(x - 1) < 1e-5)).toBe(true);
  expect(Math.max(...(full?.errors ?? [1]))).toBeLessThan(1e-4);
  expect(found.wayOverlap[0]?.[2]).toBeCloseTo(40 / 200, 5);
  await expect(retention(engine, tokens, { ways: [] })).rejects.toThrow("no methods");
});
