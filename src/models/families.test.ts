import { describe, expect, it } from "vitest";
import { FAMILY_CASES } from "../../test/helpers/families.ts";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { maxAbsDifference } from "../bench/statistics.ts";
import { Engine } from "../engine/engine.ts";
import { argmax } from "../engine/sampler.ts";
import { Libllama } from "../ggml/libllama.ts";

/** Every family on random weights, against libllama on the same file. */
describe.each(FAMILY_CASES)("%s", (_name, { options, window = 48, quantized = 1e-3 }) => {
  const lengths = {
    f32: [1, window - 1, window, window + 1, 3 * window, 700],
    q8_0: [window + 1, 700],
  };
  describe.each(["f32", "q8_0"] as const)("in %s", (weights) => {
    it.each(lengths[weights])(
      "gives libllama's logits after %i tokens and 8 greedy steps",
      async (n) => {
        using folder = new TestFolder();
        const path = folder.tiny({ ...options, weights });
        const context = n + 64;
        await using engine = await Engine.load({
          model: path,
          threads: 1,
          kernels: "ggml",
          context,
        });
        using oracle = await Libllama.load(path, { threads: 1, nCtx: context });
        using session = engine.createSession({ method: "full" });
        const prompt = randomTokens(n);
        await session.prefill(prompt);
        let expected = await oracle.evaluate(prompt);
        const worst = [maxAbsDifference(session.logits, expected)];
        for (let i = 0; i < 8; i++) {
          const token = argmax(expected);
          await session.decode(token);
          expected = await oracle.evaluate(Int32Array.of(token));
          worst.push(maxAbsDifference(session.logits, expected));
        }
        expect(Math.max(...worst)).toBeLessThanOrEqual(weights === "f32" ? 1e-3 : quantized);
      },
    );
  });
});
