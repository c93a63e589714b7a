import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { sendFile, StandInServer } from "../../test/helpers/hub-server.ts";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { METHODS } from "../compression/methods.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { Engine } from "../engine/engine.ts";
import { TYPES } from "../ggml/types.ts";
import { KV_TYPES } from "../kvcache/kv-format.ts";
import { fitInto } from "./fit.ts";
import { LONGBENCH_SIZES, longbenchRates } from "./longbench.ts";
import { planMemory } from "./memory.ts";
import { parametersOf, PUBLISHED, publishedShape } from "./model-shape.ts";
import { plan } from "./plan.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("published models", () => {
  /** Billions of parameters, as their makers say. */
  it.each([
    ["llama-3-8b", 8.03],
    ["llama-3-70b", 70.55],
    ["mistral-7b", 7.24],
    ["mixtral-8x7b", 46.7],
    ["qwen3-0.6b", 0.6],
    ["qwen3-8b", 8.19],
    ["qwen3-32b", 32.76],
    ["gemma-3-4b", 3.88],
    ["gemma-3-27b", 27.0],
  ] as const)("%s has %s billion weights", (name, billions) => {
    expect(Math.abs(parametersOf(PUBLISHED[name]) / 1e9 / billions - 1)).toBeLessThan(0.015);
  });

  it("are planned in any weight type, and no layer beyond its window", async () => {
    expect(publishedShape("llama-3-8b", TYPES.f16).weightBytes / 1e9).toBeCloseTo(16.06, 1);
    const all = { model: "gemma-3-4b", context: 32_768, method: "full" };
    const { full } = await plan(all);
    expect(full.kv.layers[0]?.kept).toBe(1024);
    expect(full.kv.layers[5]?.kept).toBe(32_768);
    await expect(plan({ ...all, weights: "q9" })).rejects.toThrow(/known: f32, f16, q4_0/);
  });
});

describe("a plan and a session", () => {
  const methods = ["full", "pyramidkv", "snapkv", "inverted(h2o)", "every:64(streaming-llm)"];
  const cases = methods.flatMap((method) => Object.keys(KV_TYPES).map((type) => [method, type]));

  it.each(cases)("%s in %s: the same bytes, layer by layer", async (method = "", kvType = "") => {
    using folder = new TestFolder();
    const model = folder.tiny({ nLayer: 4, nHead: 4, nHeadKv: 2, nEmbd: 128 });
    await using engine = await Engine.load({ model, threads: 1 });
    // The last leaves low layers whole and cuts others, above the step that full caches are padded by.
    for (const [context, kvSize] of [
      [40, 96],
      [300, 96],
      [700, 96],
      [200, 200],
      [400, 300],
    ] as const) {
      // prettier-ignore
      using session = engine.createSession({ method, kvType, kvSize });
      await session.prefill(randomTokens(context));
      const { compressed } = await plan({ model, method, kvType, kvSize, context });
      const measured = session.cache.layers.map((l) => l.bytes);
      compressed.kv.layers.forEach(({ kept, bytes }, il) => {
        expect(kept).toBe(session.cache.layers[il]?.kept);
        expect(Math.abs(bytes / (measured[il] ?? NaN) - 1)).toBeLessThan(0.01);
      });
      const peak = session.cache.ledger.peak;
      expect(Math.abs(compressed.kv.peakBytes / peak - 1)).toBeLessThan(0.05);
    }
  });
});

describe("an answer's end, and the most that was held", () => {
  const methods = [
    ...Object.keys(METHODS).filter((name) => name !== "full"),
    ...["every:64(snapkv)", "every:16(h2o)", "every:64(funnel)", "carry(snapkv)", "ada(snapkv)"],
    ...["cake(snapkv)", "every:64(rerotate(streaming-llm))"],
  ];
  const settings = [
    [40, 300, 200],
    [700, 300, 96],
    [40, 30, 128],
    [1500, 10, 400],
  ] as const;

  it.each(methods)("%s", async (method) => {
    using folder = new TestFolder();
    const shape = { nLayer: 4, nHead: 4, nHeadKv: 2, nEmbd: 128, nCtx: 4096 };
    const model = folder.tiny({ ...shape, vocabulary: true });
    await using engine = await Engine.load({ model, threads: 1 });
    for (const [i, [context, newTokens, kvSize]] of settings.entries()) {
      const options = { method, kvSize, kvType: i % 2 === 0 ? "f16" : "q4_0" };
      using session = engine.createSession(options);
      await session.prefill(randomTokens(context));
      const { peak } = session.cache.ledger;
      const answer = session.generate({ maxTokens: newTokens, ignoreEndOfText: true });
      for await (const _ of answer);
      const { compressed } = await plan({ model, ...options, context, newTokens });
      const { endBytes, peakBytes, foresight } = compressed.kv;
      const end = endBytes / session.cache.bytes;
      // How ragged heads are divided is nobody's to know.
      if (foresight === "known") expect(Math.abs(end - 1)).toBeLessThan(0.01);
      else expect(end).toSatisfy((x: number) => x > 0.9 && x < 1.35);
      expect(peakBytes / peak).toSatisfy((x: number) => x > 0.97 && x < 1.3);
    }
  });
});

it("plans no more tokens than a prompt has, and says what it cannot know", async () => {
  const model = "llama-3-8b";
  const budgets = Array.from({ length: 32 }, (_, il) => (il < 16 ? 1900 : 100));
  const { compressed } = await plan({ model, method: "snapkv", budgets, context: 1200 });
  expect(compressed.kv.layers[0]?.kept).toBe(1200);
  const foresight = async (method: string) =>
    (await plan({ model, method, kvSize: 100, context: 1200 })).compressed.kv.foresight;
  expect(await foresight("snapkv")).toBe("known");
  expect(await foresight("ada(snapkv)")).toBe("even");
  expect(await foresight("funnel")).toBe("even");
  expect(await foresight("coverage(snapkv)")).toBe("at most");
});

describe("what fits", () => {
  const model = publishedShape("llama-3-8b", TYPES.q4_K);

  it("is the most: one more does not", () => {
    const input = fc.record({
      memory: fc.integer({ min: 4, max: 200 }),
      kvSize: fc.integer({ min: 64, max: 4096 }),
      context: fc.integer({ min: 256, max: 100_000 }),
      batch: fc.integer({ min: 1, max: 64 }),
      method: fc.constantFrom("full", "pyramidkv", "snapkv", "funnel"),
    });
    fc.assert(
      fc.property(input, ({ memory: gib, kvSize, context, batch, method }) => {
        const memory = gib * 2 ** 30;
        const setting = {
          context,
          batch,
          newTokens: 100,
          ownKernels: true,
          kvType: TYPES.f16,
          compression: resolveCompression({ method, kvSize }),
        };
        const total = (change: object) => planMemory(model, { ...setting, ...change }).total;
        const { largestBatch, largestContext, fits } = fitInto(memory, model, setting);
        expect(fits).toBe(total({}) <= memory);
        if (largestBatch > 0) expect(total({ batch: largestBatch })).toBeLessThanOrEqual(memory);
        expect(total({ batch: largestBatch + 1 })).toBeGreaterThan(memory);
        if (largestContext > 0) {
          expect(total({ context: largestContext })).toBeLessThanOrEqual(memory);
        }
        // The model's context ends what memory does not.
        const most = model.nCtx - 100;
        expect(largestContext).toBeLessThanOrEqual(most);
        if (largestContext < most) {
          const longer = Math.min(most, largestContext + 256);
          expect(total({ context: longer })).toBeGreaterThan(memory);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("says so of both caches", async () => {
    const { fit, rate } = await plan({
      model: "llama-3-70b",
      context: 8000,
      kvSize: 128,
      batch: 32,
      memory: 64 * 2 ** 30,
    });
    expect(fit?.full.fits).toBe(false);
    expect(fit?.compressed.fits).toBe(true);
    expect(rate).toBeLessThan(0.02);
  });
});

it("LongBench's rates are size over length", () => {
  const { kvSizes, datasets } = longbenchRates();
  expect(kvSizes).toEqual([...LONGBENCH_SIZES]);
  expect(datasets).toHaveLength(16);
  const lcc = datasets.find(({ name }) => name === "Lcc");
  expect(lcc?.rates[4]).toBeCloseTo(2048 / 1235, 12);
  expect(datasets[0]).toMatchObject({ name: "NrtvQA", averageLength: 18_409 });
});

it("a model on the hub is planned by its header alone", async () => {
  using folder = new TestFolder();
  vi.stubEnv("HF_HUB_CACHE", folder.path);
  vi.stubEnv("HF_HOME", folder.path);
  const path = folder.tiny({ nLayer: 5, vocabulary: true });
  const header = readFileSync(path);
  // Weights that nobody has to fetch.
  const content = Buffer.concat([header, Buffer.alloc(20_000_000)]);
  await using server = await StandInServer.start((request, response) => {
    const url = request.url ?? "";
    if (url.includes("/tree/main")) {
      response.setHeader("content-type", "application/json");
      const lfs = { oid: "b".repeat(64), size: content.length, pointerSize: 100 };
      const file = { type: "file", path: "tiny-Q4_0.gguf", size: content.length, oid: "a", lfs };
      return response.end(JSON.stringify([file]));
    }
    return sendFile(request, response, content);
  });
  vi.stubEnv("HF_ENDPOINT", server.url);
  const remote = await plan({ model: "someone/tiny", context: 500 });
  const local = await plan({ model: path, context: 500 });
  expect(remote.compressed.kv).toEqual(local.compressed.kv);
  expect(remote.compressed.weights).toBe(local.compressed.weights);
  expect(server.requests.map((r) => r.range).filter(Boolean)).toEqual(["bytes=0-4194303"]);
});

it("names no weights for a model that has its own", async () => {
  using folder = new TestFolder();
  const model = folder.tiny();
  await expect(plan({ model, weights: "q8_0" })).rejects.toThrow(
    /weights of .*tiny.gguf are those of its file; a type can be named for llama-3-8b/,
  );
});

it.each([
  [{ context: 0 }, /context must be .* at least 1, got 0/],
  [{ batch: 0 }, /batch must be .* at least 1, got 0/],
  [{ kvBytes: 10 }, /kvBytes must be .* at least 131072, got 10/],
  [{ kvType: "q9" }, /unknown KV type "q9"; known: f16/],
  [{ model: "nobody" }, /unknown model "nobody"/],
  [{ model: "llama3-70b" }, /one of: .*, llama-3-70b, .*; did you mean llama-3-70b\?/],
])("refuses %j", async (options, message) => {
  await expect(plan({ model: "llama-3-8b", ...options })).rejects.toThrow(message);
});
