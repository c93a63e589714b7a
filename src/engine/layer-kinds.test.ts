import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FAMILY_CASES } from "../../test/helpers/families.ts";
import { KERNELS, tolerance } from "../../test/helpers/kernels.ts";
import { METHOD_CASES } from "../../test/helpers/method-names.ts";
import { plainLogits } from "../../test/helpers/plain-model.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { planMemory } from "../plan/memory.ts";
import { TYPES } from "../ggml/types.ts";
import { Engine } from "./engine.ts";
import type { Session } from "./session.ts";

const N = 150;
const tokens = randomTokens(N + 8);
/** Recurrent layers of both kinds, and layers that share keys and values. */
const models = FAMILY_CASES.filter(([name]) => ["lfm2", "qwen35", "gemma4"].includes(name)).map(
  ([name, { options }]) => [name, { ...options, vocabulary: true }] as const,
);
const cases = models.flatMap(([name, model]) => {
  const expected = plainLogits(tinyModel(model), tokens);
  return KERNELS.map((kernels) => [name, kernels, model, expected] as const);
});

function worst(logits: Float32Array, expected: readonly number[] = []): number {
  return logits.reduce((m, x, i) => Math.max(m, Math.abs(x - (expected[i] ?? NaN))), 0);
}

/** The states of all recurrent layers, one after the other. */
function statesOf({ cache }: Session, nLayer: number): number[][] {
  const states = Array.from({ length: nLayer }, (_, il) => cache.state(il));
  return states.flatMap((state) => state?.read().map((values) => Array.from(values)) ?? []);
}

describe.each(cases)("%s with %s", (_name, kernels, model, expected) => {
  const limit = tolerance(kernels, 0.03);
  let engine: Engine;
  beforeAll(async () => {
    using folder = new TestFolder();
    const path = folder.tiny(model);
    engine = await Engine.load({ model: path, threads: 1, kernels, chunkTokens: 16 });
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  const full = async (n = N) => {
    const session = engine.createSession({ method: "full" });
    await session.prefill(tokens.subarray(0, n));
    return session;
  };

  it("reads a text in chunks and turns of any length as at once", async () => {
    for (const size of [1, 2, 3, 7, 16, 33]) {
      using session = engine.createSession({ method: "full" });
      for (let at = 0; at < N; at += size) {
        await session.prefill(tokens.subarray(at, Math.min(N, at + size)));
      }
      expect(worst(session.logits, expected[N - 1])).toBeLessThan(limit);
    }
  });

  it("leaves each sequence that was read together a state of its own", async () => {
    const methods = ["full", "snapkv", "h2o", "probe(snapkv)"];
    const sessions = methods.map((method) => engine.createSession({ method, kvSize: 64 }));
    await engine.prefillTogether(sessions, tokens.subarray(0, N));
    const [first, ...others] = sessions as [Session, ...Session[]];
    const before = others.map((session) => statesOf(session, engine.model.nLayer));
    for (let i = N; i < tokens.length; i++) await first.decode(tokens[i] as number);
    expect(worst(first.logits, expected.at(-1))).toBeLessThan(limit);
    expect(others.map((session) => statesOf(session, engine.model.nLayer))).toEqual(before);
    for (const session of sessions) session[Symbol.dispose]();
  });

  const layers = tinyModel(model).hp.layers;
  const recurs = layers.some(({ recurrence }) => recurrence !== undefined);
  // What is in a state follows from no kernel.
  const isTried = recurs && KERNELS.slice(0, 2).includes(kernels);
  const alike = METHOD_CASES.filter((name) => isTried && !name.startsWith("carry"));
  it.each(alike)(
    "has the same states with %s, whatever is evicted or read behind",
    async (name) => {
      using session = engine.createSession({ method: name, kvSize: 40 });
      await session.prefill(tokens.subarray(0, N));
      using other = await full();
      const { nLayer } = engine.model;
      expect(statesOf(session, nLayer)).toEqual(statesOf(other, nLayer));
    },
  );

  it("is left as it was by a prompt that was broken off", async () => {
    using session = await full(100);
    const { nLayer } = engine.model;
    const [states, bytes] = [statesOf(session, nLayer), session.cache.ledger.current];
    for (const steps of [1, 7, 20, 40]) {
      const stop = new AbortController();
      let left = steps;
      const prefilled = session.prefill(tokens.subarray(100, N), {
        signal: stop.signal,
        onProgress: () => void (--left === 0 && stop.abort()),
      });
      if (steps < 20) await expect(prefilled).rejects.toThrow(/abort/);
      else await prefilled.catch(() => undefined);
      if (session.nPast === N) break;
      expect(statesOf(session, nLayer)).toEqual(states);
      expect(session.cache.ledger.current).toBe(bytes);
    }
    if (session.nPast < N) await session.prefill(tokens.subarray(100, N));
    expect(worst(session.logits, expected[N - 1])).toBeLessThan(limit);
  });

  it("decodes sequences that come and go as each alone", async () => {
    const lengths = [1, 2, 20, 40, N];
    const members = await Promise.all(lengths.map(full));
    const twins = await Promise.all(lengths.map(full));
    for (const [step, chosen] of [[0, 1, 2, 3, 4], [2], [4, 0], [1, 3, 4]].entries()) {
      const next = chosen.map((i) => 5 + step + i);
      await engine.decodeTogether(
        chosen.map((i) => members[i] as Session),
        next,
      );
      for (const [at, i] of chosen.entries()) {
        await twins[i]?.decode(next[at] as number);
        const difference = worst(
          (members[i] as Session).logits,
          Array.from(twins[i]?.logits ?? []),
        );
        expect(difference).toBeLessThan(kernels === "ggml" ? 0.03 : 1e-3);
      }
    }
    for (const session of [...members, ...twins]) session[Symbol.dispose]();
  });

  it("shows the attention of the layers that methods act on", async () => {
    const sums: number[] = [];
    await engine.watchAttention(tokens.subarray(0, N), {
      queries: Int32Array.of(20, N - 1),
      onLayer: async (layer) => {
        const { weights } = await layer.attention(0);
        sums.push(weights.reduce((a, b) => a + b, 0) / 2);
      },
    });
    expect(sums).toHaveLength(engine.model.compressible.length);
    for (const sum of sums) expect(Math.abs(sum - Math.round(sum))).toBeLessThan(0.01);
  });

  it("holds the bytes that it says, and that were planned", async () => {
    using session = engine.createSession({ method: "snapkv", kvSize: 40 });
    await session.prefill(tokens.subarray(0, N));
    const { cache, compression } = session;
    expect(cache.stateBytes > 0).toBe(recurs);
    const owning = layers.flatMap(({ nHeadKv, sharesKvOf }, il) =>
      nHeadKv > 0 && sharesKvOf === undefined ? [il] : [],
    );
    expect(cache.attending).toEqual(owning);
    expect(cache.ledger.current).toBe(cache.bytes);
    const plan = planMemory(
      { ...engine.model, weightBytes: 0 },
      { context: N, newTokens: 0, compression, kvType: TYPES.f16, batch: 1, ownKernels: true },
    );
    expect(plan.kv.bytes).toBe(cache.bytes);
    expect(plan.kv.fullBytes).toBe(cache.fullBytes(N));
    await session.reset();
    expect(cache.bytes).toBe(0);
  });
});
