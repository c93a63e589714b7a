import { describe, expect, it } from "vitest";
import { KERNELS, tolerance } from "../../test/helpers/kernels.ts";
import { randomTokens, TestFolder, type TinyOptions } from "../../test/helpers/tiny-model.ts";
import { Engine } from "./engine.ts";
import type { Session } from "./session.ts";

const difference = (a: Float32Array, b: Float32Array) =>
  a.reduce((max, x, i) => Math.max(max, Math.abs(x - (b[i] ?? NaN))), 0);

/** Standard deviation of logits, or of what they differ by. */
function spread(a: Float32Array, b?: Float32Array): number {
  const differences = a.map((x, i) => x - (b?.[i] ?? 0));
  const mean = differences.reduce((sum, x) => sum + x, 0) / a.length;
  return Math.sqrt(differences.reduce((sum, x) => sum + (x - mean) ** 2, 0) / a.length);
}

describe.each(KERNELS)("with %s", (kernels) => {
  async function withEngine(
    test: (engine: Engine) => Promise<void>,
    options: TinyOptions = {},
  ): Promise<void> {
    using folder = new TestFolder();
    const model = folder.tiny(options);
    await using engine = await Engine.load({ model, threads: 1, kernels, chunkTokens: 512 });
    await test(engine);
  }

  describe("several turns", () => {
    it("of the full cache equal one prefill", () =>
      withEngine(async (engine) => {
        const tokens = randomTokens(300);
        using once = engine.createSession({ method: "full" });
        using turns = engine.createSession({ method: "full" });
        await once.prefill(tokens);
        await turns.prefill(tokens.slice(0, 130));
        for (const token of tokens.slice(130, 140)) await turns.decode(token);
        await turns.prefill(tokens.slice(140));
        expect(turns.nPast).toBe(300);
        // f16 keys, other tiles
        expect(difference(once.logits, turns.logits)).toBeLessThan(tolerance(kernels, 2e-2));
        expect(turns.cache.layers[0]?.positions(1)).toEqual(once.cache.layers[0]?.positions(1));
      }));

    it("of a compressed cache attend to what is kept at its true positions, and to all of the turn", () =>
      withEngine(async (engine) => {
        using session = engine.createSession({ method: "pyramidkv", kvSize: 32, kvLimit: 400 });
        using stepped = engine.createSession({ method: "pyramidkv", kvSize: 32, kvLimit: 400 });
        for (const s of [session, stepped]) await s.prefill(randomTokens(200));
        const turn = randomTokens(20, 3);
        await session.prefill(turn);
        for (const token of turn) await stepped.decode(token);
        expect(difference(session.logits, stepped.logits)).toBeLessThan(tolerance(kernels, 2e-2));
        session.cache.layers.forEach((layer, il) =>
          expect(layer.positions(0)).toEqual(stepped.cache.layers[il]?.positions(0)),
        );
      }));

    it("prefill the last token of an answer that was cut off, before the new turn", () =>
      withEngine(async (engine) => {
        using session = engine.createSession({ method: "full" });
        await session.prefill(randomTokens(10));
        for await (const _ of session.generate({ maxTokens: 5, ignoreEndOfText: true }));
        expect(session.nPast).toBe(14);
        await session.prefill([8]);
        expect(session.nPast).toBe(16);
      }));
  });

  describe("KV types", () => {
    it.each([
      ["q8_0", 34 / 64, 0.03],
      ["q4_0", 18 / 64, 0.25],
    ])("%s takes its share of f16's bytes and stays close to it", (kvType, share, limit) =>
      withEngine(
        async (engine) => {
          using f16 = engine.createSession({ kvSize: 64 });
          using small = engine.createSession({ kvSize: 64, kvType });
          using other = engine.createSession({ kvSize: 64 });
          for (const s of [f16, small]) await s.prefill(randomTokens(300));
          await other.prefill(randomTokens(300, 107));
          expect(small.cache.bytes / f16.cache.bytes).toBeCloseTo(share, 2);
          expect(small.cache.layers[1]?.positions(1)).toEqual(f16.cache.layers[1]?.positions(1));
          for (let i = 0; i < 70; i++) for (const s of [f16, small, other]) await s.decode(3 + i);
          // Beside the logits' own spread, of which another context changes all.
          expect(spread(small.logits, f16.logits) / spread(f16.logits)).toBeLessThan(limit);
          expect(spread(other.logits, f16.logits) / spread(f16.logits)).toBeGreaterThan(0.8);
          expect(small.logits).not.toEqual(f16.logits);
        },
        { headDim: 32 },
      ),
    );

    it("refuses a type that does not divide the head", () =>
      withEngine(async (engine) => {
        expect(() => engine.createSession({ kvType: "q8_0" })).toThrow(/multiple of 32.*has 16/);
        expect(() => engine.createSession({ kvType: "q5_1" })).toThrow(/known: f16, q8_0, q4_0/);
        await Promise.resolve();
      }));
  });

  describe("bad input", () => {
    it.each([
      [[], /the prompt is empty/],
      [[1, 99_999], /token must be 0 to 319, got 99999/],
      [[-1], /got -1/],
      [[1.5], /got 1.5/],
    ])("refuses the tokens %o", (tokens, message) =>
      withEngine(async (engine) => {
        using session = engine.createSession();
        await expect(session.prefill(tokens)).rejects.toThrow(message);
        expect(session.cache.bytes).toBe(0);
      }),
    );

    it("says both numbers where the context is too small, and changes nothing", () =>
      withEngine(
        async (engine) => {
          using session = engine.createSession();
          await expect(session.prefill(randomTokens(65))).rejects.toThrow(/65 tokens .* of 64/);
          await session.prefill(randomTokens(60));
          await expect(session.prefill(randomTokens(5))).rejects.toThrow(/65 tokens .* of 64/);
          await expect(session.generate({ maxTokens: 5 }).next()).rejects.toThrow(
            /60 tokens and 5 to generate exceed the model's context of 64/,
          );
          for (let i = 0; i < 4; i++) await session.decode(3);
          await expect(session.decode(3)).rejects.toThrow(/exceed the model's context of 64/);
          // The logits of one more token are there.
          const pieces = [];
          for await (const piece of session.generate({ ignoreEndOfText: true })) pieces.push(piece);
          expect(pieces).toMatchObject([{ finishReason: "length" }]);
          await expect(session.generate({ maxTokens: 2 }).next()).rejects.toThrow(/context of 64/);
        },
        { nCtx: 64 },
      ));

    it("refuses an alpha that was asked for and exceeds the prompt, but shrinks the default", () =>
      withEngine(async (engine) => {
        using asked = engine.createSession({ alpha: 50, kvSize: 16 });
        await expect(asked.prefill(randomTokens(40))).rejects.toThrow(/alpha 50 .* prompt of 40/);
        using preset = engine.createSession({ preset: "class-defaults", window: 4, kvSize: 16 });
        await preset.prefill(randomTokens(40));
        expect(preset.cache.meanKept).toBe(16);
      }));

    it("has no logits before the first prefill", () =>
      withEngine(async (engine) => {
        using session = engine.createSession();
        expect(() => session.logits).toThrow(/no logits before the first prefill/);
        await expect(session.generate().next()).rejects.toThrow(/no logits/);
      }));

    it.each([0, -1, 1.5, 513])("refuses %d threads", async (threads) => {
      using folder = new TestFolder();
      await expect(Engine.load({ model: folder.tiny(), threads })).rejects.toThrow(
        /threads must be/,
      );
    });
  });

  describe("scoring window apart from kept window", () => {
    it("scores with alpha, keeps the window, and keeps nothing by force with window 0", () =>
      withEngine(async (engine) => {
        using forced = engine.createSession({ method: "snapkv", alpha: 16, window: 4, kvSize: 20 });
        using free = engine.createSession({ method: "snapkv", alpha: 16, window: 0, kvSize: 20 });
        for (const s of [forced, free]) await s.prefill(randomTokens(300));
        const last = (s: typeof free) =>
          Array.from(s.cache.layers[0]?.positions(0) ?? []).slice(-4);
        expect(last(forced)).toEqual([296, 297, 298, 299]);
        expect(free.cache.meanKept).toBe(20);
      }));
  });

  describe("lifetimes", () => {
    it("lets sessions run side by side, each with its own result", () =>
      withEngine(async (engine) => {
        const sessions = [1, 2, 3].map(() => engine.createSession({ kvSize: 32 }));
        const alone: Float32Array[] = [];
        for (const [i, s] of sessions.entries()) {
          using own = engine.createSession({ kvSize: 32 });
          await own.prefill(randomTokens(200, i));
          await own.decode(5);
          alone.push(own.logits.slice());
          expect(s.nPast).toBe(0);
        }
        await Promise.all(
          sessions.map(async (s, i) => {
            const prefill = s.prefill(randomTokens(200, i));
            const decode = s.decode(5); // queued behind it
            await Promise.all([prefill, decode]);
          }),
        );
        sessions.forEach((s, i) => expect(s.logits).toEqual(alone[i]));
      }));

    it("refuses everything after disposal", () =>
      withEngine(async (engine) => {
        const session = engine.createSession();
        await session.prefill(randomTokens(20));
        session[Symbol.dispose]();
        session[Symbol.dispose]();
        expect(() => session.logits).toThrow(/this session was disposed/);
        await expect(session.prefill([1])).rejects.toThrow(/disposed/);
        await expect(session.decode(1)).rejects.toThrow(/disposed/);
        await expect(session.reset()).rejects.toThrow(/disposed/);
        await expect(session.generate().next()).rejects.toThrow(/disposed/);
      }));

    it("stops a running prefill when it is disposed, and frees only then", async () => {
      using folder = new TestFolder();
      const engine = await Engine.load({ model: folder.tiny({ nLayer: 6 }), threads: 1 });
      const session = engine.createSession();
      let steps = 0;
      const running = session.prefill(randomTokens(1900), {
        onProgress: () => {
          if (++steps === 5) session[Symbol.dispose]();
        },
      });
      await expect(running).rejects.toMatchObject({ code: "ABORTED" });
      expect(steps).toBe(5);
      expect(session.cache.ledger.current).toBe(0);
      await engine[Symbol.asyncDispose]();
    });

    it("disposes an engine whose sessions are running", async () => {
      using folder = new TestFolder();
      const engine = await Engine.load({ model: folder.tiny({ nLayer: 6 }), threads: 1 });
      const disposals: Promise<void>[] = [];
      const running = engine.createSession().prefill(randomTokens(1900), {
        onProgress: (share) => {
          if (share > 0.5 && disposals.length === 0) disposals.push(engine[Symbol.asyncDispose]());
        },
      });
      await expect(running).rejects.toMatchObject({ code: "ABORTED" });
      await Promise.all(disposals);
      expect(disposals).toHaveLength(1);
      expect(() => engine.createSession()).toThrow(/this engine was disposed/);
      expect(() => engine.tokenizer).toThrow(/disposed/);
    });

    it.each(["full", "pyramidkv"])(
      "a prefill of %s that was stopped in any layer changes nothing",
      (method) =>
        withEngine(
          async (engine) => {
            const [first, second] = [randomTokens(600), randomTokens(700, 2)];
            using stopped = engine.createSession({ method, kvSize: 32 });
            using calm = engine.createSession({ method, kvSize: 32 });
            const stopAt = async (tokens: Int32Array, share: number) => {
              const controller = new AbortController();
              const onProgress = (done: number) => done >= share && controller.abort();
              const prefill = stopped.prefill(tokens, { signal: controller.signal, onProgress });
              await expect(prefill).rejects.toMatchObject({ code: "ABORTED" });
              expect(stopped.cache.ledger.current).toBe(stopped.cache.bytes);
            };
            for (const share of [0.1, 0.5, 0.9]) await stopAt(first, share);
            expect(stopped.cache.bytes).toBe(0);
            for (const s of [stopped, calm]) await s.prefill(first);
            for (const share of [0.1, 0.5, 0.9]) await stopAt(second, share);
            for (const s of [stopped, calm]) await s.decode(5);
            expect(stopped.logits).toEqual(calm.logits);
            for (const s of [stopped, calm]) await s.prefill(second);
            expect(stopped.logits).toEqual(calm.logits);
          },
          { nLayer: 4 },
        ),
    );

    it("generates after the calls made before it, and goes on where an answer ended", () =>
      withEngine(async (engine) => {
        using whole = engine.createSession({ kvSize: 32 });
        using parts = engine.createSession({ kvSize: 32 });
        const tokensOf = async (session: typeof whole, maxTokens: number) => {
          const tokens: number[] = [];
          for await (const { token } of session.generate({ maxTokens, ignoreEndOfText: true })) {
            tokens.push(token);
          }
          return tokens;
        };
        const prefills = [whole, parts].map((s) => s.prefill(randomTokens(200)));
        const expected = await tokensOf(whole, 9); // its prefill is still under way
        const again = [...(await tokensOf(parts, 4)), ...(await tokensOf(parts, 5))];
        await Promise.all(prefills);
        expect(again).toEqual(expected);
      }));

    it("refuses to share a prefill with strangers, twice, or with a used session", () =>
      withEngine(async (engine) => {
        using folder = new TestFolder();
        await using other = await Engine.load({ model: folder.tiny(), threads: 1 });
        using a = engine.createSession();
        using b = engine.createSession();
        using stranger = other.createSession();
        const tokens = randomTokens(20);
        for (const wrong of [[a, stranger], [a, a], [a, 5], "ab"]) {
          const sessions = wrong as unknown as Session[];
          await expect(engine.prefillTogether(sessions, tokens)).rejects.toThrow(
            /different sessions of this engine/,
          );
        }
        await Promise.all([
          engine.prefillTogether([a, b], tokens),
          expect(engine.prefillTogether([b, a], tokens)).rejects.toThrow(/only new sessions/),
        ]);
      }));

    it("stops within a chunk when its signal fires, and can go on", () =>
      withEngine(
        async (engine) => {
          using session = engine.createSession();
          const controller = new AbortController();
          let steps = 0;
          const prefill = session.prefill(randomTokens(1900), {
            signal: controller.signal,
            onProgress: () => {
              if (++steps === 2) controller.abort();
            },
          });
          await expect(prefill).rejects.toMatchObject({ code: "ABORTED" });
          expect(steps).toBe(2);
          expect(session.cache.ledger.current).toBe(session.cache.bytes);
          await session.prefill(randomTokens(50));
          expect(session.nPast).toBe(50);
        },
        { nLayer: 6 },
      ));

    it("keeps the event loop free while it computes", () =>
      withEngine(
        async (engine) => {
          using session = engine.createSession();
          let ticks = 0;
          const timer = setInterval(() => ticks++, 1);
          await session.prefill(randomTokens(2000));
          clearInterval(timer);
          expect(ticks).toBeGreaterThan(3);
        },
        { nLayer: 8 },
      ));

    it("says that it is busy while it generates", () =>
      withEngine(async (engine) => {
        using session = engine.createSession();
        await session.prefill(randomTokens(20));
        for await (const _ of session.generate({ maxTokens: 3, ignoreEndOfText: true })) {
          await expect(session.prefill([1])).rejects.toThrow(/this session is generating/);
        }
        await session.prefill([1]);
      }));

    it("forgets everything on reset", () =>
      withEngine(async (engine) => {
        using session = engine.createSession();
        await session.prefill(randomTokens(200));
        const before = session.logits.slice();
        await session.reset();
        expect(session.cache.bytes).toBe(0);
        expect(session.nPast).toBe(0);
        await session.prefill(randomTokens(200));
        expect(session.logits).toEqual(before);
      }));
  });
});
