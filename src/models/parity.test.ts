import { describe, expect, it } from "vitest";
import { F32_KERNELS, KERNELS, tolerance } from "../../test/helpers/kernels.ts";
import { randomTokens, TestFolder, type TinyOptions } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { argmax } from "../engine/sampler.ts";
import { Libllama } from "../ggml/libllama.ts";

/** Every branch of the llama architecture, on random weights, against libllama on the same file. */
const VARIANTS: Record<string, TinyOptions> = {
  "grouped-query attention, tied output": {},
  "one kv head per query head": { nHeadKv: 4 },
  "one kv head for all": { nHeadKv: 1 },
  "output weights of its own": { untied: true },
  biases: { biases: true },
  "heads wider than the model": { headDim: 32 },
  "heads of no power of two": { headDim: 80 },
  "RoPE frequency factors (Llama 3.1)": { ropeFactors: true },
  "linear RoPE scaling": { ropeScaling: "linear" },
  "YaRN RoPE scaling": { ropeScaling: "yarn" },
  "8 experts, 2 used (Mixtral)": { nExpert: 8, nExpertUsed: 2 },
  "4 experts, 1 used": { nExpert: 4, nExpertUsed: 1 },
  "q8_0 weights": { weights: "q8_0" },
  "q8_0 experts": { weights: "q8_0", nExpert: 4, nExpertUsed: 2 },
  "one layer": { nLayer: 1 },
};

const difference = (a: Float32Array, b: Float32Array) =>
  a.reduce((max, x, i) => Math.max(max, Math.abs(x - (b[i] ?? NaN))), 0);

describe.each(Object.entries(VARIANTS))("llama: %s", (_, options) => {
  it.each([1, 40, 700])("logits after %i tokens and 8 greedy steps are libllama's", async (n) => {
    using folder = new TestFolder();
    const path = folder.tiny(options);
    await using engine = await Engine.load({ model: path, threads: 1, kernels: "ggml" });
    using oracle = await Libllama.load(path, { threads: 1, nCtx: n + 64 });
    using session = engine.createSession({ method: "full" });
    const prompt = randomTokens(n);
    await session.prefill(prompt);
    let expected = await oracle.evaluate(prompt);
    expect(difference(session.logits, expected)).toBeLessThanOrEqual(1e-3);
    for (let i = 0; i < 8; i++) {
      const token = argmax(expected);
      expect(argmax(session.logits)).toBe(token);
      await session.decode(token);
      expected = await oracle.evaluate(Int32Array.of(token));
      expect(difference(session.logits, expected)).toBeLessThanOrEqual(1e-3);
    }
  });
});

const own = KERNELS.filter((name) => name !== "ggml");

describe.each(own)("the %s kernels", (kernels) => {
  // Where products are rounded, a token may go to the second-best expert, and its logits with it.
  const variants = { ...VARIANTS, "heads that only ggml attends to": { headDim: 24 } };
  const comparable = Object.entries<TinyOptions>(variants).filter(
    ([, { nExpert = 0, weights }]) =>
      nExpert === 0 || (F32_KERNELS.includes(kernels) && weights !== "q8_0"),
  );
  it.each(comparable)("are near libllama: %s", async (_, options) => {
    using folder = new TestFolder();
    const path = folder.tiny(options);
    await using engine = await Engine.load({ model: path, threads: 2, kernels });
    using oracle = await Libllama.load(path, { threads: 2, nCtx: 800 });
    using session = engine.createSession({ method: "full" });
    const prompt = randomTokens(700);
    await session.prefill(prompt);
    // libllama rounds what it multiplies q8_0 weights with to 8 bits; ours does not.
    const most = tolerance(kernels, options.weights === "q8_0" ? 0.3 : 2e-2);
    expect(difference(session.logits, await oracle.evaluate(prompt))).toBeLessThan(most);
    for (let token = 5; token < 13; token++) {
      await session.decode(token);
      const expected = await oracle.evaluate(Int32Array.of(token));
      expect(difference(session.logits, expected)).toBeLessThan(most);
    }
  });
});
