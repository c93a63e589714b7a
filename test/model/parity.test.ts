import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareAccuracy } from "../../src/bench/accuracy.ts";
import { maxAbsDifference } from "../../src/bench/statistics.ts";
import { Engine } from "../../src/engine/engine.ts";
import { argmax } from "../../src/engine/sampler.ts";
import { readHaystack } from "../../src/eval/haystack.ts";
import { Libllama } from "../../src/ggml/libllama.ts";
import { resolveModel } from "../../src/hub/resolve.ts";
import { F32_KERNELS } from "../helpers/kernels.ts";

/** The default model against libllama and against products in f32, and what its compressed cache really holds. */
let engine: Engine;
let exact: Engine;
let path: string;
let text: Int32Array;
beforeAll(async () => {
  path = await resolveModel("smollm2-135m");
  engine = await Engine.load({ model: path, threads: 2 });
  exact = await Engine.load({ model: path, threads: 2, kernels: "ggml" });
  const once = Array.from(engine.tokenizer.encode(await readHaystack()));
  text = Int32Array.from([...once, ...once].slice(0, 6000));
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await exact[Symbol.asyncDispose]();
});

describe.each([512, 2000, 6000])("after %i prompt tokens", (n) => {
  it("with ggml's operations, the full cache's logits and 64 greedy tokens are libllama's", async () => {
    using oracle = await Libllama.load(path, { threads: 2, nCtx: n + 128 });
    using session = exact.createSession({ method: "full" });
    const prompt = text.slice(0, n);
    await session.prefill(prompt);
    let expected = await oracle.evaluate(prompt);
    expect(maxAbsDifference(session.logits, expected)).toBeLessThanOrEqual(1e-3);
    const theirs: number[] = [];
    for (let i = 0; i < 64; i++) {
      theirs.push(argmax(expected));
      if (i < 63) expected = await oracle.evaluate(Int32Array.of(theirs[i] ?? 0));
    }
    const ours: number[] = [];
    for await (const { token } of session.generate({ maxTokens: 64, ignoreEndOfText: true })) {
      ours.push(token);
    }
    expect(ours).toEqual(theirs);
  });
});

const reference = F32_KERNELS.find((name) => name !== "ggml");

describe.skipIf(reference === undefined)("beside products in f32", () => {
  it("our kernels are nearer than ggml's operations", async () => {
    await using truth = await Engine.load({ model: path, threads: 2, kernels: reference ?? "" });
    const prompts = [0, 2000, 4000].map((at) => text.slice(at, at + 500));
    const options = { prompts, steps: 8 };
    const [own, ggml] = await compareAccuracy(truth, [engine, exact], options);
    expect(own?.meanKl).toBeLessThanOrEqual(ggml?.meanKl ?? 0);
    expect(own?.sameTop).toBeGreaterThan(0.9);
  });
});

describe("pyramidkv at 128 after 6,000 tokens", () => {
  it("holds at most 3 % of the full cache and peaks at one layer above that", async () => {
    using session = engine.createSession({ method: "pyramidkv", kvSize: 128 });
    await session.prefill(text);
    const { cache } = session;
    const full = cache.fullBytes(6000);
    expect(cache.bytes / full).toBeLessThanOrEqual(0.03);
    expect(cache.ledger.peak).toBeLessThanOrEqual((full / 30 + cache.bytes) * 1.05);
    const kept = cache.layers.map((layer) => layer.kept);
    expect(kept.reduce((a, b) => a + b, 0)).toBe(30 * 128);
    expect(kept[0]).toBe(242);
    expect(kept.at(-1)).toBe(14);
    for (const layer of cache.layers) expect(layer.bytes).toBeLessThan(full / 30 / 10);
  });
});

describe("a quantized cache", () => {
  it.each(["q8_0", "q4_0"])("of type %s is smaller and still answers", async (kvType) => {
    using session = engine.createSession({ method: "snapkv", kvSize: 256, kvType });
    using f16 = engine.createSession({ method: "snapkv", kvSize: 256 });
    const question = "What is the capital of France? Answer in one word.";
    const content = `${engine.tokenizer.decode(text.slice(0, 600))}\n\n${question}`;
    const prompt = engine.tokenizer.encodeChat([{ role: "user", content }]);
    await engine.prefillTogether([session, f16], prompt);
    expect(session.cache.meanKept).toBe(256);
    expect(session.cache.bytes).toBeLessThan(f16.cache.bytes * 0.6);
    let answer = "";
    for await (const { text: piece } of session.generate({ maxTokens: 16 })) answer += piece;
    expect(answer).toContain("Paris");
  });
});
