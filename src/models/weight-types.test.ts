import { expect, it } from "vitest";
import { randomTokens, TestFolder, type TinyOptions } from "../../test/helpers/tiny-model.ts";
import { maxAbsDifference } from "../bench/statistics.ts";
import { Engine } from "../engine/engine.ts";
import { Libllama } from "../ggml/libllama.ts";
import { TYPES } from "../ggml/types.ts";

/** Matrices whose rows are whole blocks of every type. */
const WIDE: TinyOptions = { nLayer: 1, nEmbd: 256, nFf: 256, nHead: 4, nHeadKv: 2, headDim: 64 };
const names = (Object.keys(TYPES) as (keyof typeof TYPES)[]).filter((name) => TYPES[name].weight);

it.each(names)(
  "weights of %s give libllama's logits, and near ones with our kernels",
  async (weights) => {
    using folder = new TestFolder();
    const path = folder.tiny({ ...WIDE, weights });
    using oracle = await Libllama.load(path, { threads: 1, nCtx: 64 });
    const prompt = randomTokens(40);
    const steps = [await oracle.evaluate(prompt), await oracle.evaluate(Int32Array.of(5))];
    for (const kernels of ["ggml", "auto"]) {
      await using engine = await Engine.load({ model: path, threads: 1, kernels });
      using session = engine.createSession({ method: "full" });
      const differences: number[] = [];
      for (const expected of steps) {
        if (session.nPast === 0) await session.prefill(prompt);
        else await session.decode(5);
        differences.push(maxAbsDifference(session.logits, expected));
      }
      // libllama rounds what it multiplies quantized weights with to 8 bits; ours does not, or to bf16.
      expect(Math.max(...differences)).toBeLessThanOrEqual(kernels === "ggml" ? 1e-3 : 0.5);
    }
  },
);
