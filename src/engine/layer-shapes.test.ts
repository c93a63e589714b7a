import { describe, expect, it } from "vitest";
import { KERNELS, tolerance } from "../../test/helpers/kernels.ts";
import { METHOD_CASES } from "../../test/helpers/method-names.ts";
import { plainLogits } from "../../test/helpers/plain-model.ts";
import { expectStep } from "../../test/helpers/step-check.ts";
import {
  randomTokens,
  TestFolder,
  tinyModel,
  type TinyModel,
  type TinyOptions,
} from "../../test/helpers/tiny-model.ts";
import { variant } from "../../test/helpers/variant.ts";
import type { LayerShape } from "../models/layer-shape.ts";
import { Engine } from "./engine.ts";
import type { Session } from "./session.ts";

const WINDOW = 16;

type Change = (layer: LayerShape, il: number) => Partial<LayerShape>;
const alternating: Change = (_, il) => (il % 2 === 0 ? { window: WINDOW } : {});

/** What layers of one model may differ in. */
const SHAPES: Record<string, { readonly change: Change; readonly options?: TinyOptions }> = {
  "sliding windows": { change: alternating },
  "sliding windows in all layers": { change: () => ({ window: WINDOW }) },
  "a soft-cap": { change: () => ({ softcap: 1 }) },
  "sink logits": { change: () => ({ sinkLogits: true }) },
  "partial rotary": { change: () => ({}), options: { ropeDims: 8 } },
  "partial rotary on pairs apart": {
    change: ({ rope }) => ({ rope: { ...rope, mode: 2 } }),
    options: { ropeDims: 8, nLayer: 1 },
  },
  "two rotations": {
    change: ({ rope }, il) => (il > 0 ? { rope: { ...rope, freqBase: 20 } } : {}),
  },
  "windows with heads of their own": {
    change: ({ rope }, il) =>
      il === 0
        ? { window: WINDOW, nHead: 2, nHeadKv: 1, headDim: 32, rope: { ...rope, dims: 32 } }
        : {},
  },
  // 24 is no size for kernels of ours: a step mixes their layers with ggml's.
  "windows with heads that ggml alone computes": {
    change: ({ rope }, il) =>
      il === 0
        ? { window: WINDOW, nHead: 2, nHeadKv: 1, headDim: 24, rope: { ...rope, dims: 24 } }
        : {},
  },
  "all at once": {
    change: ({ rope }, il) => ({
      ...alternating({} as LayerShape, il),
      softcap: 1,
      sinkLogits: il > 0,
      scale: 0.2,
      ...(il === 0 ? { rope: { ...rope, freqBase: 20 } } : {}),
    }),
    options: { ropeDims: 8 },
  },
};

async function load(
  folder: TestFolder,
  kernels: string,
  { change, options }: (typeof SHAPES)[string],
  chunkTokens?: number,
) {
  const tiny = { architecture: variant(change), ...options };
  const path = folder.tiny({ ...tiny, vocabulary: true });
  const engine = await Engine.load({
    model: path,
    threads: 1,
    kernels,
    ...(chunkTokens === undefined ? {} : { chunkTokens }),
  });
  return { engine, options: tiny, model: tinyModel(tiny) };
}

/** By shape: plain loops are slow, and the same whatever the kernels. */
const plain = new Map<string, number[][]>();

function plainOf(key: string, model: TinyModel, tokens: Int32Array): number[][] {
  const known = plain.get(key) ?? plainLogits(model, tokens);
  plain.set(key, known);
  return known;
}

function worst(logits: Float32Array, expected: readonly number[] = []): number {
  return logits.reduce((m, x, i) => Math.max(m, Math.abs(x - (expected[i] ?? NaN))), 0);
}

describe.each(KERNELS)("with %s, layers with", (kernels) => {
  // ggml sums values in f16 where it decodes.
  const limit = tolerance(kernels, 0.03);

  it.each(Object.entries(SHAPES))("%s are plain loops'", async (name, shape) => {
    using folder = new TestFolder();
    const loaded = await load(folder, kernels, shape, 24);
    await using engine = loaded.engine;
    // Decoding goes on until what slid out of the windows was evicted twice.
    const tokens = randomTokens(3 * WINDOW + 140);
    const expected = plainOf(name, loaded.model, tokens);
    for (const n of [WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW]) {
      const end = n === 3 * WINDOW ? tokens.length : n + 4;
      using session = engine.createSession({ method: "full" });
      await session.prefill(tokens.subarray(0, n));
      expect(worst(session.logits, expected[n - 1])).toBeLessThan(limit);
      for (let i = n; i < end; i++) {
        await session.decode(tokens[i] as number);
        expect(worst(session.logits, expected[i])).toBeLessThan(limit);
      }
      using turns = engine.createSession({ method: "full" });
      for (let at = 0; at < n; at += 20)
        await turns.prefill(tokens.subarray(at, Math.min(n, at + 20)));
      expect(worst(turns.logits, expected[n - 1])).toBeLessThan(limit);
    }
  });
});

/** Otherwise the tests above would prove nothing. */
it.each(Object.entries(SHAPES))("%s make a difference that the limits show", (name, shape) => {
  const tokens = randomTokens(3 * WINDOW + 140);
  const options = { ...shape.options, architecture: variant(shape.change) };
  const changed = plainOf(name, tinyModel(options), tokens).at(-1) ?? [];
  const { ropeDims: _, ...others } = options;
  const llamas = plainOf(
    "llama",
    tinyModel({ ...others, architecture: variant(() => ({})) }),
    tokens,
  );
  expect(worst(Float32Array.from(changed), llamas.at(-1))).toBeGreaterThan(0.6);
});

/** Sizes at which kernels change their ways: of heads, and of prompts. */
describe.each(KERNELS)("with %s", (kernels) => {
  const everything = (SHAPES["all at once"] as { change: Change }).change;
  it.each([64, 80, 128, 256])("heads of %i are plain loops'", async (headDim) => {
    using folder = new TestFolder();
    const options = { nLayer: 2, nHead: 2, nHeadKv: 1, headDim, ropeDims: headDim / 2 };
    const loaded = await load(folder, kernels, { change: everything, options });
    await using engine = loaded.engine;
    const tokens = randomTokens(136);
    const expected = plainOf(`heads of ${headDim}`, loaded.model, tokens);
    for (const n of [32, 64, 128, 129]) {
      using session = engine.createSession({ method: "full" });
      await session.prefill(tokens.subarray(0, n));
      expect(worst(session.logits, expected[n - 1])).toBeLessThan(tolerance(kernels, 0.03));
      for (let i = n; i < n + 4; i++) {
        await session.decode(tokens[i] as number);
        expect(worst(session.logits, expected[i])).toBeLessThan(tolerance(kernels, 0.03));
      }
    }
  });
});

const kvSize = 48;

function lengths(session: Session, il: number): number[] {
  return (session.cache.layers[il]?.heads ?? []).map((h) => h.length);
}

describe.each(["auto", "ggml"])("methods on a model with windows, %s", (kernels) => {
  it.each(METHOD_CASES.filter((name) => !name.startsWith("carry")))(
    "%s act on the other layers alone",
    async (method) => {
      using folder = new TestFolder();
      const loaded = await load(folder, kernels, SHAPES["all at once"] as { change: Change });
      await using engine = loaded.engine;
      expect(engine.model.compressible).toEqual([1]);
      using session = engine.createSession({ method, kvSize });
      const prompt = randomTokens(200);
      await session.prefill(prompt);
      const [kept = 0] = [session.cache.meanKept];
      const heads = lengths(session, 1);
      expect(heads.reduce((a, b) => a + b, 0) / heads.length).toBe(kept);
      const { method: resolved, recipe, options } = session.compression;
      const isSized = options.kvSize === kvSize && resolved.options.includes("kvSize");
      if (isSized && resolved.budget.kind !== "measured") expect(kept).toBe(kvSize);
      for (const il of [0, 2]) {
        expect(lengths(session, il)).toEqual([WINDOW, WINDOW]);
        const last = recipe.rerotates === true ? kvSize : 200;
        expect(session.cache.layers[il]?.positions(0)).toEqual(
          Int32Array.from({ length: WINDOW }, (_, i) => last - WINDOW + i),
        );
      }
      const rows = (layers: readonly number[]) =>
        layers.map((il) => session.cache.layers[il]?.capacity);
      for (let i = 0; i < 2 * WINDOW + 80; i++) {
        await session.decode(prompt[i] as number);
        expect(Math.max(...lengths(session, 0))).toBeLessThanOrEqual(WINDOW + 64);
      }
      await expectStep(session, { token: 5, model: loaded.options, kernels });
      for (const capacity of rows([0, 2])) expect(capacity).toBeLessThanOrEqual(WINDOW + 96);
      if (recipe.every !== undefined)
        expect(Math.max(...lengths(session, 1))).toBeLessThan(kvSize + 16 + 1);
    },
  );

  it("count what windows forget as no loss, and a size in bytes with the windows in it", async () => {
    using folder = new TestFolder();
    const loaded = await load(folder, kernels, SHAPES["sliding windows"] as { change: Change });
    await using engine = loaded.engine;
    const perToken = 2 * 2 * 16 * 2; // k and v, heads, size, f16
    using full = engine.createSession({ method: "full" });
    await full.prefill(randomTokens(200));
    expect(full.cache.fullBytes(200)).toBe((2 * WINDOW + 200) * perToken);
    expect(full.cache.meanKept).toBe(200);
    using sized = engine.createSession({ method: "snapkv", kvBytes: (2 * WINDOW + 50) * perToken });
    expect(sized.compression.options.kvSize).toBe(50);
    const bytes = 2 * WINDOW * perToken;
    expect(() => engine.createSession({ method: "snapkv", kvBytes: bytes })).toThrow(
      `kvBytes must be an integer of at least ${bytes + perToken}`,
    );
  });

  it("do not carry tokens over windows, which is said", async () => {
    using folder = new TestFolder();
    const loaded = await load(folder, kernels, SHAPES["sliding windows"] as { change: Change });
    await using engine = loaded.engine;
    using session = engine.createSession({ method: "carry(snapkv)", kvSize });
    await expect(session.prefill(randomTokens(200))).rejects.toThrow(/carry .* sliding windows/);
  });
});
