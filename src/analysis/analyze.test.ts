import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildGguf } from "../../test/helpers/gguf-writer.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
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
    });
    funnel.reachKs.forEach((k, i) => {
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
  const fitted = fitBudget({ reachKs: [16, 32], reach }, { kvSize: 32, n: 1000 });
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
