import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FAMILY_CASES } from "../../test/helpers/families.ts";
import { F32_KERNELS, KERNELS, tolerance } from "../../test/helpers/kernels.ts";
import { METHOD_CASES } from "../../test/helpers/method-names.ts";
import { plainLogits } from "../../test/helpers/plain-model.ts";
import { expectStep } from "../../test/helpers/step-check.ts";
import {
  randomTokens,
  TestFolder,
  tinyModel,
  type TinyOptions,
} from "../../test/helpers/tiny-model.ts";
import { Engine } from "./engine.ts";
import type { Session } from "./session.ts";

const KV_SIZE = 40;
const N = 150;

const own = F32_KERNELS.find((name) => name !== "ggml") ?? "ggml";

function worst(logits: Float32Array, expected: readonly number[] = []): number {
  return logits.reduce((m, x, i) => Math.max(m, Math.abs(x - (expected[i] ?? NaN))), 0);
}

/** Every family in plain loops, which prove what libllama cannot: steps over caches of which most was evicted. */
describe.each(FAMILY_CASES)("%s", (name, { options, window, step: limit = 2e-3 }) => {
  // All experts read every token: a near tie between two of them would show as any difference.
  const nExpertUsed = options.nExpert ?? 0;
  // Nothing is carried over windows and recurrent layers.
  const carries = window === undefined && !isRecurrent(options);
  const methods = METHOD_CASES.filter((name) => carries || !name.startsWith("carry"));
  const model = { ...options, nExpertUsed, vocabulary: true };

  it.each(KERNELS)("reads and decodes as plain loops do, with %s", async (kernels) => {
    using folder = new TestFolder();
    await using engine = await Engine.load({ model: folder.tiny(model), threads: 1, kernels });
    const tokens = randomTokens(N + 4);
    const expected = plainLogits(tinyModel(model), tokens);
    const limit = tolerance(kernels, 0.03);
    using session = engine.createSession({ method: "full" });
    await session.prefill(tokens.subarray(0, N));
    expect(worst(session.logits, expected[N - 1])).toBeLessThan(limit);
    for (let i = N; i < tokens.length; i++) {
      await session.decode(tokens[i] as number);
      expect(worst(session.logits, expected[i])).toBeLessThan(limit);
    }
  });

  describe.each(["ggml", own])("compressed, with %s", (kernels) => {
    let engine: Engine;
    beforeAll(async () => {
      using folder = new TestFolder();
      const path = folder.tiny(model);
      engine = await Engine.load({ model: path, threads: 1, kernels, chunkTokens: 64 });
    });
    afterAll(() => engine[Symbol.asyncDispose]());

    // Every method on every family with our kernels; with ggml's operations a quarter of them, each on some families.
    const turn = FAMILY_CASES.findIndex(([other]) => other === name);
    const tried = methods.filter((_, i) => kernels !== "ggml" || i % 4 === turn % 4);
    it.each(tried)("by %s", async (method) => {
      const { compressible } = engine.model;
      using session = engine.createSession({ method, kvSize: KV_SIZE });
      using other = engine.createSession({ method, kvSize: KV_SIZE });
      const prompt = randomTokens(N);
      await session.prefill(prompt);
      await other.prefill(prompt.subarray(0, N - 20));
      const { method: resolved, recipe } = session.compression;
      const isSized = resolved.options.includes("kvSize") && resolved.budget.kind !== "measured";
      if (isSized && recipe.carries === undefined) {
        expect(session.cache.meanKept).toBeCloseTo(KV_SIZE, 6);
      }
      for (const il of session.cache.attending) {
        if (!compressible.includes(il)) expect(session.cache.layer(il)?.kept).toBe(window);
      }
      await expectStep(session, { token: 5, model, kernels, limit });
      await engine.decodeTogether([session, other], [7, 9]);
      for (let i = 0; i < 20; i++) await session.decode(3 + i);
      if (recipe.every !== undefined) expect(kept(session)).toBeLessThan(KV_SIZE + 16 + 1);
      await expectStep(session, { token: 11, model, kernels, limit });
      await session.prefill(prompt.subarray(0, 30));
      await expectStep(session, { token: 5, model, kernels, limit });
    });
  });
});

function isRecurrent(options: TinyOptions): boolean {
  return tinyModel(options).hp.layers.some(({ recurrence }) => recurrence !== undefined);
}

function kept({ cache }: Session): number {
  return cache.meanKept;
}
