import { describe, expect, it } from "vitest";
import { FAMILIES } from "../../test/helpers/families.ts";
import { METHOD_CASES } from "../../test/helpers/method-names.ts";
import { randomTokens, TestFolder, type TinyOptions } from "../../test/helpers/tiny-model.ts";
import { kernelLibrary } from "../ggml/kernels/library.ts";
import { ARCHITECTURES } from "../models/architectures.ts";
import { Engine } from "./engine.ts";
import type { Session } from "./session.ts";
import type { SessionOptions } from "./session-options.ts";

const library = kernelLibrary();
const variants = typeof library === "string" ? [] : library.variants;
/** Those that multiply by themselves however few columns there are: narrower ones leave that to ggml. */
const wide = variants.filter((v) => v.available && v.lanes === 16).map((v) => v.name);

interface Way extends SessionOptions {
  readonly n: number;
  readonly maxTokens: number;
}

/** Nothing is carried over recurrent layers. */
const METHODS = METHOD_CASES.filter((name) => !name.startsWith("carry"));

/** Sequence `i` of those below: its method, cache type, prompt and answer are its own. */
function wayOf(i: number): Way {
  return {
    method: METHODS[i % METHODS.length] as string,
    kvType: i % 2 === 0 ? "f16" : "q8_0",
    kvSize: 40,
    n: 60 + 7 * (i % 13),
    maxTokens: 8 + (i % 11),
  };
}

async function start(engine: Engine, i: number): Promise<Session> {
  const { n, maxTokens: _, ...options } = wayOf(i);
  const session = engine.createSession(options);
  await session.prefill(randomTokens(n, i));
  return session;
}

const u32 = (value: number) => ({ type: "u32", value }) as const;
const heads32 = {
  "attention.key_length_swa": u32(32),
  "attention.value_length_swa": u32(32),
  "rope.dimension_count_swa": u32(32),
};
const models = {
  q8_0: { headDim: 32, vocabulary: true, weights: "q8_0" },
  // Rows of whole blocks; a token's products are ggml's.
  q4_K: { nEmbd: 256, nFf: 256, headDim: 64, vocabulary: true, weights: "q4_K" },
  // Recurrent layers beside those that attend.
  "f32, of a hybrid": {
    ...FAMILIES.qwen35.options,
    architecture: ARCHITECTURES.qwen35,
    headDim: 32,
    vocabulary: true,
  },
  "f32, of layers that share": {
    ...FAMILIES.gemma4.options,
    architecture: ARCHITECTURES.gemma4,
    keys: { ...FAMILIES.gemma4.options.keys, ...heads32 },
    vocabulary: true,
  },
} as const;
/** What only a layer's kind differs in is tried with the fastest kernels alone. */
const cases = wide.flatMap((kernels) =>
  Object.entries(models)
    .filter(([, model]) => kernels === wide[0] || !("architecture" in model))
    .map(([weights, model]) => [kernels, weights, model] as const),
);

describe.each(cases)("with %s, weights of %s", (kernels, _weights, model) => {
  // Many sequences take one thread: two that wait for each other beside another worker's take ten times as long.
  it.each([
    [3, 2],
    [16, 1],
    [64, 1],
  ])("answers of %i sequences with %i threads are those of each alone", async (count, threads) => {
    using folder = new TestFolder();
    await using engine = await Engine.load({ model: folder.tiny(model), threads, kernels });
    const options = { temperature: 0, ignoreEndOfText: true } as const;
    const alone: number[][] = [];
    for (let i = 0; i < count; i++) {
      using session = await start(engine, i);
      const tokens: number[] = [];
      for await (const { token } of session.generate({ ...options, maxTokens: 18 }))
        tokens.push(token);
      alone.push(tokens);
    }
    expect(engine.graphsBuilt).toBe(1);
    const sessions: Session[] = [];
    for (let i = 0; i < count; i++) sessions.push(await start(engine, i));
    const together = sessions.map((): number[] => []);
    const more = { ...options, maxTokens: 18 };
    for await (const { session, token } of engine.generateTogether(sessions, more)) {
      together[sessions.indexOf(session)]?.push(token);
    }
    expect(together).toEqual(alone);
  });

  const mayHaveExperts = !("architecture" in model && model.architecture.name === "gemma4");
  const kinds: [string, TinyOptions][] = [
    ["dense", {}],
    ["of experts", { nExpert: 4, nExpertUsed: 2 }],
  ];
  it.each(kinds.filter(([name]) => mayHaveExperts || name === "dense"))(
    "logits of a model %s are those of single steps to the bit, whoever comes and goes",
    async (_, o) => {
      using folder = new TestFolder();
      const tiny = folder.tiny({ ...model, ...o });
      await using engine = await Engine.load({ model: tiny, threads: 1, kernels });
      const all: Session[] = [];
      const twins: Session[] = [];
      for (let i = 0; i < 64; i++) {
        all.push(await start(engine, i));
        twins.push(await start(engine, i));
      }
      for (const [step, count] of [1, 3, 16, 64, 9, 33, 2, 40].entries()) {
        const members = all.filter((_, i) => (i * 7 + step) % 64 < count);
        const tokens = members.map((_, i) => 3 + i + step);
        await engine.decodeTogether(members, tokens);
        for (const [i, session] of members.entries()) {
          const twin = twins[all.indexOf(session)] as Session;
          await twin.decode(tokens[i] as number);
          expect(session.logits).toEqual(twin.logits);
        }
      }
      // One graph for 1, 2, 4, … 64 columns, and none since; those with states are built anew where one of more comes.
      expect(engine.graphsBuilt).toBeLessThanOrEqual("keys" in model ? 14 : 7);
    },
  );
});
