import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KERNELS } from "../../test/helpers/kernels.ts";
import { METHOD_CASES, WRAPPED } from "../../test/helpers/method-names.ts";
import { expectStep } from "../../test/helpers/step-check.ts";
import { randomTokens, TestFolder, type TinyOptions } from "../../test/helpers/tiny-model.ts";
import type { Recipe } from "../compression/recipe.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { WRAPPERS } from "../compression/wrappers.ts";
import { Engine } from "./engine.ts";
import type { Session } from "./session.ts";

const NAMES = METHOD_CASES;
const KV_SIZE = 64;
const CHUNK = 512;
const MODEL = { nLayer: 4, vocabulary: true };
const cases = KERNELS.flatMap((kernels) => NAMES.map((method) => [method, kernels] as const));

it("has a case for every wrapper", () => {
  expect(Object.keys(WRAPPED)).toEqual(Object.keys(WRAPPERS));
});

function eachHead(
  session: Session,
  visit: (positions: Int32Array, il: number, h: number) => void,
): void {
  session.cache.layers.forEach((layer, il) => {
    layer.heads.forEach((_, h) => visit(layer.positions(h), il, h));
  });
}

async function load(kernels: string): Promise<Engine> {
  using folder = new TestFolder();
  const model = folder.tiny(MODEL);
  return await Engine.load({ model, threads: 1, kernels, chunkTokens: CHUNK });
}

describe.each(cases)("%s with %s", (method, kernels) => {
  let engine: Engine;
  beforeAll(async () => (engine = await load(kernels)));
  afterAll(() => engine[Symbol.asyncDispose]());

  const { method: resolved, recipe } = resolveCompression({ method, kvSize: KV_SIZE });
  const evicts = resolved.options.includes("kvSize");
  const exact = resolved.budget.kind !== "measured";
  const keepsNewest = (window: number) => resolved.needs.length === 0 || window > 0;

  it("keeps its budget exactly, as sorted unique positions", async () => {
    using session = engine.createSession({ method, kvSize: KV_SIZE });
    await session.prefill(randomTokens(700));
    const { layers } = session.cache;
    const total = layers.reduce((sum, l) => sum + l.kept, 0);
    if (exact) expect(total).toBeCloseTo(layers.length * (evicts ? KV_SIZE : 700), 6);
    const { window } = session.compression.options;
    eachHead(session, (positions) => {
      positions.forEach((p, i) => expect(p).toBeGreaterThan(positions[i - 1] ?? -1));
      expect(positions.at(-1)).toBeLessThan(700);
      if (keepsNewest(window)) expect(positions.at(-1)).toBe(session.nPast - 1);
    });
  });

  it("keeps its sinks and its window", async ({ skip }) => {
    using session = engine.createSession({ method, kvSize: KV_SIZE });
    const { options } = session.compression;
    skip(options.sinks + options.window === 0, "keeps nothing by force");
    await session.prefill(randomTokens(700));
    eachHead(session, (positions) => {
      const sinks = Array.from({ length: options.sinks }, (_, i) => i);
      const window = Array.from(
        { length: options.window },
        (_, i) => session.nPast - options.window + i,
      );
      expect(Array.from(positions)).toEqual(expect.arrayContaining([...sinks, ...window]));
    });
  });

  it("leaves a prompt alone that fits, and decodes it like the full cache", async ({ skip }) => {
    skip(!exact, "has no size that a prompt could fit");
    using session = engine.createSession({ method, kvSize: KV_SIZE });
    using full = engine.createSession({ method: "full" });
    for (const s of [session, full]) await s.prefill(randomTokens(KV_SIZE));
    eachHead(session, (positions) => expect(positions).toHaveLength(KV_SIZE));
    for (const token of [5, 6, 7]) {
      for (const s of [session, full]) await s.decode(token);
      expect(session.logits).toEqual(full.logits);
    }
  });

  it("does not change the prompt's own logits", async () => {
    using session = engine.createSession({ method, kvSize: KV_SIZE });
    using full = engine.createSession({ method: "full" });
    for (const s of [session, full]) await s.prefill(randomTokens(700));
    // Carried tokens are not all that the upper layers would have read.
    if (recipe.carries === undefined) expect(session.logits).toEqual(full.logits);
    else expect(session.logits).not.toEqual(full.logits);
  });

  it("gives the same result every time", async () => {
    const runs = await Promise.all(
      [1, 2].map(async () => {
        using session = engine.createSession({ method, kvSize: KV_SIZE });
        await session.prefill(randomTokens(300));
        await session.decode(9);
        return { logits: session.logits, kept: session.cache.layers[1]?.positions(0) };
      }),
    );
    expect(runs[0]).toEqual(runs[1]);
  });

  it("really frees what it evicts", async () => {
    using session = engine.createSession({ method, kvSize: KV_SIZE });
    await session.prefill(randomTokens(1500));
    const { cache } = session;
    const full = cache.fullBytes(1500);
    if (!evicts) expect(cache.bytes).toBeGreaterThanOrEqual(full);
    else expect(cache.bytes).toBeLessThan(full / (exact ? 8 : 1));
    // Rows come in steps of 32, uncut ones as libllama's own in steps of 256.
    const rows = cache.meanKept + (evicts ? 32 : 256);
    expect(cache.bytes).toBeLessThanOrEqual((full / 1500) * rows);
    expect(cache.ledger.current).toBe(cache.bytes);
    // At most one layer in full besides what is kept, and one layer's padding; a probe's piece comes on top.
    const probe = recipe.probe === undefined ? 0 : CHUNK / 1500;
    const scratch = (full / cache.layers.length) * (1 + probe);
    // Budgets that depend on all layers hold the whole total from the first layers on.
    const padded = exact && resolved.budget.kind === "weighed" ? 1.5 : 1.2;
    if (evicts) expect(cache.ledger.peak).toBeLessThan((scratch + cache.bytes) * padded);
  });

  it("goes on over several turns within its limit", async () => {
    using session = engine.createSession({ method, kvSize: KV_SIZE });
    for (let turn = 0; turn < 6; turn++) {
      await session.prefill(randomTokens(80, turn));
      for (let i = 0; i < 10; i++) await session.decode(4 + i);
    }
    if (recipe.rerotates !== true) expect(session.nPast).toBe(6 * 90);
    if (evicts && exact) expect(session.cache.meanKept).toBeLessThanOrEqual(2 * KV_SIZE + 10);
    if (!evicts) expect(session.cache.meanKept).toBe(540);
    eachHead(session, (positions) => expect(positions.at(-1)).toBe(session.nPast - 1));
    await expectStep(session, { token: 5, model: MODEL, kernels });
  });
});

/** Methods that may share a prefill with these. */
function compatible({ probe, carries }: Recipe): string[] {
  return NAMES.filter((name) => {
    const { recipe } = resolveCompression({ method: name });
    return (recipe.probe === undefined || recipe.probe === probe) && recipe.carries === carries;
  });
}

const recipes = NAMES.map((method) => resolveCompression({ method }).recipe);
const kinds = new Map(recipes.map((r) => [`probe ${r.probe}, carries ${r.carries}`, r]));

describe.each(KERNELS)("with %s", (kernels) => {
  it.each([...kinds])(
    "methods that share a prefill keep what each keeps alone: %s",
    async (_, r) => {
      await using engine = await load(kernels);
      const tokens = randomTokens(600);
      const methods = compatible(r);
      const together = methods.map((method) => engine.createSession({ method, kvSize: KV_SIZE }));
      await engine.prefillTogether(together, tokens);
      for (const [i, method] of methods.entries()) {
        using alone = engine.createSession({ method, kvSize: KV_SIZE });
        await alone.prefill(tokens);
        using same = together[i] as Session;
        eachHead(alone, (positions, il, h) =>
          expect(same.cache.layers[il]?.positions(h)).toEqual(positions),
        );
        for (const s of [alone, same]) await s.decode(3);
        expect(same.logits).toEqual(alone.logits);
      }
    },
  );
});

/** Heads in groups of every size, windows of every kind, prompts around the budget: one engine for all of them. */
const GROUPS: Readonly<Record<string, TinyOptions>> = {
  "groups of 1": { nHead: 2, nHeadKv: 2 },
  "groups of 3": { nHead: 6, nHeadKv: 2, nEmbd: 96 },
  "groups of 8": { nHead: 8, nHeadKv: 1, nEmbd: 128 },
};
const WINDOWS = [0, 8, 64];
const SIZE = 96;

describe.each(Object.keys(GROUPS))("%s", (group) => {
  it.each(NAMES)("%s keeps its contract at any window and any length", async (method) => {
    using folder = new TestFolder();
    const model = { nLayer: 3, vocabulary: true, ...GROUPS[group] };
    await using engine = await Engine.load({
      model: folder.tiny(model),
      threads: 1,
      chunkTokens: 256,
    });
    for (const window of WINDOWS) {
      for (const n of [SIZE - 1, SIZE, SIZE + 1, 300]) {
        using session = engine.createSession({ method, kvSize: SIZE, window });
        await session.prefill(randomTokens(n));
        const { method: m, recipe, options } = session.compression;
        const evicts = m.options.includes("kvSize") && m.budget.kind !== "measured";
        const total = session.cache.layers.reduce((sum, l) => sum + l.kept * l.heads.length, 0);
        const heads = session.cache.layers.reduce((sum, l) => sum + l.heads.length, 0);
        // Upper layers that read fewer tokens than their budget keep those.
        if (evicts && recipe.carries !== undefined) expect(total).toBeLessThanOrEqual(heads * SIZE);
        else if (evicts) expect(Math.round(total)).toBe(heads * Math.min(n, SIZE));
        eachHead(session, (positions) => {
          positions.forEach((p, i) => expect(p).toBeGreaterThan(positions[i - 1] ?? -1));
          const forced = [
            ...Array.from({ length: options.sinks }, (_, i) => i),
            ...Array.from({ length: options.window }, (_, i) => session.nPast - 1 - i),
          ];
          expect(Array.from(positions)).toEqual(expect.arrayContaining(forced));
        });
        await expectStep(session, { token: 5, model, kernels: "auto" });
      }
    }
  });
});

it.each([
  ["pyramidkv", { kvSize: 64, sinks: 6, window: 0 }],
  ["pyramidkv", { kvSize: 16, sinks: 3, window: 8 }],
  ["pyramid(lagkv)", { kvSize: 48 }],
  ["pyramid(lagkv)", { kvSize: 8, window: 2, sinks: 1 }],
  ["inverted(h2o)", { kvSize: 40 }],
  ["ada:0(snapkv)", { kvSize: 20, sinks: 4 }],
  ["ada:0(pyramidkv)", { kvSize: 20, sinks: 4 }],
  ["cake(snapkv)", { kvSize: 14, sinks: 4 }],
  ["funnel", { kvSize: 24, sinks: 12, window: 8 }],
  ["carry:0.1(snapkv)", { kvSize: 24, sinks: 9 }],
  ["carry:0.1(snapkv)", { kvSize: 24, sinks: 0 }],
] as const)("%s keeps what is kept by force in every head, of %o", async (method, options) => {
  using folder = new TestFolder();
  const model = folder.tiny({ nLayer: 12, nEmbd: 32, nHead: 2, nHeadKv: 2, vocabulary: true });
  await using engine = await Engine.load({ model, threads: 1 });
  using session = engine.createSession({ method, ...options });
  await session.prefill(randomTokens(400));
  const { sinks, window } = session.compression.options;
  const least = sinks + window + 1;
  eachHead(session, (positions) => {
    expect(positions.length).toBeGreaterThanOrEqual(least);
    expect(Array.from(positions.subarray(0, sinks))).toEqual([...Array(sinks).keys()]);
    // What is asked for by force, and the newest token of methods that rank by recency where nothing else says.
    const newest = Math.max(window, method.includes("lagkv") ? 1 : 0);
    const last = Array.from({ length: newest }, (_, i) => 400 - newest + i);
    expect(Array.from(positions.subarray(positions.length - newest))).toEqual(last);
  });
  const total = session.cache.layers.reduce((sum, l) => sum + l.kept, 0);
  if (!method.startsWith("carry")) expect(total).toBeCloseTo(12 * options.kvSize, 6);
});

it.each(["kvzip", "probe(snapkv)"])(
  "%s reads its probe after prompts of every length",
  async (method) => {
    using folder = new TestFolder();
    const model = folder.tiny({ nLayer: 2, vocabulary: true });
    for (const kernels of KERNELS) {
      for (const chunkTokens of [undefined, 16]) {
        const chunk = chunkTokens === undefined ? {} : { chunkTokens };
        await using engine = await Engine.load({ model, threads: 1, kernels, ...chunk });
        using session = engine.createSession({ method, kvSize: 24 });
        for (const n of [170, 15, 1, 17, 40, 61, 3]) {
          await session.prefill(randomTokens(n, n));
          await session.decode(5);
        }
        for (const n of [25, 31, 61]) {
          using short = engine.createSession({ method, kvSize: 24 });
          await short.prefill(randomTokens(n));
          expect(short.cache.meanKept).toBe(24);
        }
      }
    }
    await using engine = await Engine.load({ model, threads: 1 });
    using full = engine.createSession({ method, kvSize: 24 });
    await expect(full.prefill(randomTokens(2040))).rejects.toThrow(
      /the context has room for 8 tokens behind the prompt, the probe that is read there has \d+; shorten/,
    );
  },
);

it("reads a second prompt in long chunks with ragged heads that are all sampled", async () => {
  using folder = new TestFolder();
  const model = { nLayer: 2, nHead: 8, nHeadKv: 8, nEmbd: 128, nCtx: 16_384 };
  const path = folder.tiny(model);
  for (const kernels of KERNELS) {
    await using engine = await Engine.load({ model: path, threads: 1, kernels, chunkTokens: 4096 });
    using session = engine.createSession({ method: "every:64(sampled(ada:0(h2o)))", kvSize: 64 });
    await session.prefill(randomTokens(600));
    const lengths = session.cache.layers[1]?.heads.map((h) => h.length);
    expect(new Set(lengths).size).toBeGreaterThan(1);
    await session.prefill(randomTokens(4200, 1));
    await expectStep(session, { token: 5, model, kernels });
  }
});
