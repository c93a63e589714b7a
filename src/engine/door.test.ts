import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { Engine } from "./engine.ts";
import { ENGINE_OPTIONS, GENERATE_OPTIONS, SESSION_OPTIONS } from "./option-tables.ts";
import type { Session } from "./session.ts";

async function withEngine(test: (engine: Engine) => Promise<void>): Promise<void> {
  using folder = new TestFolder();
  const model = folder.tiny({ nLayer: 2, vocabulary: true });
  await using engine = await Engine.load({ model, threads: 1 });
  await test(engine);
}

/** What a program in JavaScript may hand over. */
const loosely = (value: unknown) => value as never;

describe("options", () => {
  const sessions: readonly [unknown, RegExp][] = [
    [{ kvsize: 64 }, /createSession: unknown option "kvsize"; known: .*; did you mean kvSize\?/],
    [{ methd: "full" }, /unknown option "methd"; known: .*; did you mean method\?/],
    [{ zzz: 1 }, /unknown option "zzz"; known: .*kvLimit$/],
    ["snapkv", /createSession takes an object of options, got "snapkv"/],
    [5, /createSession takes an object of options, got 5/],
    [null, /takes an object of options, got null/],
    [[], /takes an object of options, got \[\]/],
    [new Map(), /takes an object of options, got a Map/],
    [{ kvSize: "64" }, /kvSize must be an integer of at least 1, got "64"/],
    [{ kvSize: NaN }, /kvSize must be an integer of at least 1, got NaN/],
    [{ kvSize: 64, kvBytes: 1e6 }, /kvSize and kvBytes both set the size; give one/],
    [{ method: 5 }, /method, unless it is a name, must be an object, got 5/],
    [{ method: null }, /must be an object, got null/],
    [{ kvType: 4 }, /kvType must be text, got 4/],
    [{ kvLimit: 2.5 }, /kvLimit must be an integer of at least 1, got 2.5/],
    [{ beta: "20" }, /beta must be a number of at least 1, got "20"/],
    [{ pool: "sum" }, /unknown pool "sum"; known: avg, max/],
    [{ preset: "kvpres" }, /unknown preset "kvpres"; known: .*; did you mean kvpress\?/],
    [{ budgets: "64" }, /head scores must be numbers/],
    [{ profile: 5 }, /unknown profile 5; known: auto, none/],
    [{ profile: {} }, /profile is no profile: model, and weights and shares/],
    [{ profile: null }, /profile is no profile/],
  ];

  it.each(sessions)("of a session: %o", (options, message) =>
    withEngine((engine) => {
      expect(() => engine.createSession(loosely(options))).toThrow(message);
      return Promise.resolve();
    }),
  );

  it.each([
    [{ model: 5 }, /model must be text, got 5/],
    [{ modle: "x" }, /Engine.load: unknown option "modle"; known: .*; did you mean model\?/],
    ["x.gguf", /Engine.load takes an object of options, got "x.gguf"/],
    [{ threads: "2" }, /threads must be 1 to 512, got "2"/],
    [{ kernels: "avx9" }, /unknown kernels "avx9"; known: .*; did you mean avx2\?/],
    [{ onProgress: true }, /onProgress must be a function, got true/],
    [{ signal: {} }, /signal must be an AbortSignal, got {}/],
  ])("of Engine.load: %o", async (options, message) => {
    await expect(Engine.load(loosely(options))).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringMatching(message) as string,
    });
  });

  it.each([
    [{ maxToken: 5 }, /generate: unknown option "maxToken"; known: .*; did you mean maxTokens\?/],
    [{ temperature: "1" }, /temperature must be 0 to 100, got "1"/],
    [{ logitBias: new Map([[5, 1]]) }, /logitBias must be an object of numbers .*, got a Map/],
    [
      { logitBias: [[5, 1]] },
      /logitBias must be an object of numbers by token id, got \[\[5,1\]\]/,
    ],
    [{ logitBias: { 5: "1" } }, /logitBias of token 5 must be finite, got "1"/],
    [{ ignoreEndOfText: 1 }, /ignoreEndOfText must be true or false, got 1/],
    [5, /generate takes an object of options, got 5/],
  ])("of generate: %o", (options, message) =>
    withEngine(async (engine) => {
      using session = engine.createSession();
      await session.prefill([5, 6, 7]);
      await expect(session.generate(loosely(options)).next()).rejects.toThrow(message);
      const together = engine.generateTogether([session], loosely(options));
      await expect(together.next()).rejects.toThrow(message);
      // Nothing is left busy.
      await session.decode(5);
    }),
  );

  it("are lists of tokens where tokens are asked for", () =>
    withEngine(async (engine) => {
      using session = engine.createSession();
      for (const [tokens, message] of [
        ["hello", /tokens must be a list of token ids, got "hello"; encode text first/],
        [undefined, /tokens must be a list of token ids, got undefined/],
        [5, /got 5/],
        [{ 0: 5 }, /got {"0":5}/],
        [[5.5], /token must be 0 to 319, got 5.5/],
        [["5"], /token must be 0 to 319, got "5"/],
        [[], /the prompt is empty/],
      ] as const) {
        await expect(session.prefill(loosely(tokens))).rejects.toThrow(message);
        await expect(engine.prefillTogether([session], loosely(tokens))).rejects.toThrow(message);
      }
      await session.prefill([5]);
      await expect(session.decode(loosely("5"))).rejects.toThrow(/token must be .* got "5"/);
      await expect(engine.decodeTogether([session], loosely(5))).rejects.toThrow(/tokens must be/);
      const watch = loosely({ queries: [0], onLayer: () => undefined, onLayers: 1 });
      await expect(engine.watchAttention([5], watch)).rejects.toThrow(/unknown option "onLayers"/);
      expect(() => engine.tokenizer.encode(loosely(5))).toThrow(/a text was expected, got 5/);
      expect(() => engine.tokenizer.decode(loosely("ab"))).toThrow(/must be a list of token ids/);
      expect(() => engine.tokenizer.encode("a", loosely({ addspecial: false }))).toThrow(
        /encode: unknown option "addspecial"; .* did you mean addSpecial\?/,
      );
      expect(() => resolveCompression(loosely({ kvBytes: 5 }))).toThrow(/unknown option "kvBytes"/);
    }));

  it("have a flag and help, or neither", () => {
    for (const table of [ENGINE_OPTIONS, SESSION_OPTIONS, GENERATE_OPTIONS]) {
      for (const spec of Object.values(table) as { flag?: string; help?: string }[]) {
        expect(spec.flag === undefined).toBe(spec.help === undefined);
      }
    }
  });
});

describe("what returns a promise rejects", () => {
  it("and never throws", () =>
    withEngine(async (engine) => {
      const session = engine.createSession();
      await session.prefill([5]);
      session[Symbol.dispose]();
      const gone = { code: "DISPOSED" };
      await expect(session.prefill([1])).rejects.toMatchObject(gone);
      await expect(session.decode(1)).rejects.toMatchObject(gone);
      await expect(session.reset()).rejects.toMatchObject(gone);
      await expect(engine.prefillTogether([session], [1])).rejects.toMatchObject({ code: "USAGE" });
      await expect(engine.decodeTogether([session], [1])).rejects.toMatchObject({ code: "USAGE" });
    }));
});

describe("an aborted load", () => {
  it("gives no engine, whenever it was aborted", async () => {
    using folder = new TestFolder();
    const model = folder.tiny({ nLayer: 2, vocabulary: true });
    const aborted = { code: "ABORTED" };
    const load = Engine.load({ model, signal: AbortSignal.abort() });
    await expect(load).rejects.toMatchObject(aborted);
    const stop = new AbortController();
    const onProgress = () => {
      stop.abort();
    };
    const late = Engine.load({ model, threads: 1, signal: stop.signal, onProgress });
    await expect(late).rejects.toMatchObject(aborted);
  });
});

it("refuses a huge prompt before it copies it", () =>
  withEngine(async (engine) => {
    using session = engine.createSession();
    const before = process.memoryUsage().arrayBuffers;
    // As long as a list can say that it is; reading one element of it would be a fault.
    const huge = new Proxy(
      { length: 5e7 },
      {
        get: (target, key) => {
          if (key !== "length") throw new Error(`read ${String(key)}`);
          return target.length;
        },
      },
    );
    await expect(session.prefill(huge as ArrayLike<number>)).rejects.toThrow(
      /50000000 tokens exceed the model's context of 2048; shorten the prompt/,
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10e6);
  }));

it("frees sessions that are forgotten, and says so", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const warnings: string[] = [];
  const onWarning = ({ name, message }: Error) => {
    if (name === "PyramidKVWarning") warnings.push(message);
  };
  process.on("warning", onWarning);
  try {
    await withEngine(async (engine) => {
      const kept = engine.createSession({ method: "full" });
      await kept.prefill(randomTokens(50));
      const forget = async (): Promise<WeakRef<Session>[]> => {
        const refs: WeakRef<Session>[] = [];
        for (let i = 0; i < 5; i++) {
          const session = engine.createSession({ method: "full" });
          await session.prefill(randomTokens(200));
          refs.push(new WeakRef(session));
        }
        using disposed = engine.createSession();
        await disposed.prefill(randomTokens(50));
        return refs;
      };
      const refs = await forget();
      for (let i = 0; i < 50 && warnings.length < 5; i++) {
        await delay(20);
        collect();
      }
      expect(refs.filter((ref) => ref.deref() !== undefined)).toEqual([]);
      expect(warnings).toHaveLength(5);
      expect(warnings[0]).toMatch(/a session was dropped without being disposed; the \d+ bytes/);
      await kept.decode(5);
      kept[Symbol.dispose]();
    });
  } finally {
    process.off("warning", onWarning);
  }
});
