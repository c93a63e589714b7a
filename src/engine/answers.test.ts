import { describe, expect, it } from "vitest";
import { KERNELS, tolerance } from "../../test/helpers/kernels.ts";
import { randomTokens, TestFolder, type TinyOptions } from "../../test/helpers/tiny-model.ts";
import { Libllama } from "../ggml/libllama.ts";
import { Engine } from "./engine.ts";
import type { SessionOptions } from "./session-options.ts";
import type { Session } from "./session.ts";

const difference = (a: Float32Array, b: Float32Array) =>
  a.reduce((max, x, i) => Math.max(max, Math.abs(x - (b[i] ?? NaN))), 0);

/** Caches of all shapes: full, even, a pyramid, ragged, 4 bits, recompressed after some steps. */
const WAYS: readonly (SessionOptions & { readonly n: number })[] = [
  { n: 40, method: "full" },
  { n: 200, method: "snapkv", kvSize: 32 },
  { n: 150, method: "pyramidkv", kvSize: 32 },
  { n: 120, method: "ada(snapkv)", kvSize: 32 },
  { n: 90, method: "snapkv", kvSize: 32, kvType: "q4_0" },
  { n: 160, method: "every:3(snapkv)", kvSize: 24 },
  { n: 130, method: "every:4(h2o)", kvSize: 40 },
];

const positions = ({ cache }: Session) =>
  cache.layers.map((layer) => layer.heads.map((_, h) => [...layer.positions(h)]));

it("follows libllama's own batch, full caches, with ggml's operations", async () => {
  using folder = new TestFolder();
  const model = folder.tiny({ headDim: 32 });
  await using engine = await Engine.load({ model, threads: 2, kernels: "ggml" });
  using peer = await Libllama.load(model, { threads: 2, nCtx: 256, sequences: 3 });
  const prompt = randomTokens(90);
  const sessions = [0, 1, 2].map(() => engine.createSession({ method: "full" }));
  await engine.prefillTogether(sessions, prompt);
  await peer.evaluate(prompt);
  peer.copyFirst();
  for (let step = 0; step < 5; step++) {
    const tokens = [3 + step, 100 + step, 200 - step];
    await engine.decodeTogether(sessions, tokens);
    const expected = await peer.evaluateTogether(tokens, 90 + step);
    for (const [i, { logits }] of sessions.entries()) {
      expect(difference(logits, expected[i] as Float32Array)).toBeLessThan(1e-2);
    }
  }
});

describe.each(KERNELS)("with %s", (kernels) => {
  async function withEngine(
    test: (engine: Engine) => Promise<void>,
    options: TinyOptions = {},
  ): Promise<void> {
    using folder = new TestFolder();
    const model = folder.tiny({ headDim: 32, ...options });
    await using engine = await Engine.load({ model, threads: 1, kernels, chunkTokens: 512 });
    await test(engine);
  }

  const started = async (engine: Engine, ways = WAYS): Promise<Session[]> => {
    const sessions: Session[] = [];
    for (const [i, { n, ...options }] of ways.entries()) {
      const session = engine.createSession(options);
      await session.prefill(randomTokens(n, i + 1));
      sessions.push(session);
    }
    return sessions;
  };

  const expectAlike = (some: readonly Session[], others: readonly Session[]) => {
    for (const [i, session] of some.entries()) {
      const other = others[i] as Session;
      const limit = tolerance(kernels, WAYS[i]?.kvType === "q4_0" ? 0.3 : 2e-2);
      expect(difference(session.logits, other.logits)).toBeLessThan(limit);
      expect(session.nPast).toBe(other.nPast);
      expect(session.cache.meanKept).toBe(other.cache.meanKept);
    }
  };

  it.each([
    ["a dense model", {}],
    ["experts", { nExpert: 4, nExpertUsed: 2 }],
    ["biases and one kv head a query head", { biases: true, nHead: 4, nHeadKv: 4 }],
  ] as const)("decodes sequences of all kinds together as alone: %s", (_, options) =>
    withEngine(async (engine) => {
      const [together, alone] = [await started(engine), await started(engine)];
      for (let step = 0; step < 40; step++) {
        const tokens = together.map((_, i) => (step * 31 + i * 17) % 300);
        await engine.decodeTogether(together, tokens);
        for (const [i, session] of alone.entries()) await session.decode(tokens[i] as number);
        if (step % 13 === 0) expectAlike(together, alone);
      }
      expectAlike(together, alone);
      expect(positions(together[0] as Session)).toEqual(positions(alone[0] as Session));
      expect(positions(together[3] as Session)).toEqual(positions(alone[3] as Session));
    }, options),
  );

  it("goes on alone, in another batch and after a turn", () =>
    withEngine(async (engine) => {
      const [together, alone] = [await started(engine), await started(engine)];
      const step = async (some: number[], token: number) => {
        const own = some.map((i) => together[i] as Session);
        await engine.decodeTogether(
          own,
          own.map(() => token),
        );
        for (const i of some) await (alone[i] as Session).decode(token);
      };
      await step([0, 1, 2, 3], 5);
      await (together[1] as Session).decode(9);
      await (alone[1] as Session).decode(9);
      await step([3, 2, 1, 0], 6);
      for (const s of [together, alone]) await (s[2] as Session).prefill(randomTokens(12, 9));
      await step([2, 5], 7);
      await step([0, 1, 2, 3, 4, 5, 6], 8);
      expectAlike(together, alone);
    }));

  it("refuses what does not fit, and leaves all as they were", () =>
    withEngine(async (engine) => {
      const [a, b] = (await started(engine)) as [Session, Session];
      const before = [a, b].map((s) => [s.nPast, positions(s), [...s.logits]]);
      await expect(engine.decodeTogether([a, a], [1, 2])).rejects.toThrow("different sessions");
      await expect(engine.decodeTogether([a, b], [1])).rejects.toThrow("2 sessions, not 1");
      await expect(engine.decodeTogether([a, b], [1, 1e6])).rejects.toThrow("token");
      const fresh = engine.createSession({});
      await expect(engine.decodeTogether([a, fresh], [1, 2])).rejects.toThrow("first prefill");
      expect([a, b].map((s) => [s.nPast, positions(s), [...s.logits]])).toEqual(before);
      const many = Array.from({ length: 129 }, () => engine.createSession({}));
      await expect(engine.decodeTogether(many, new Array<number>(129).fill(1))).rejects.toThrow(
        "129 sessions are too many for one step; at most 128",
      );
      await engine.decodeTogether([], []);
      await engine.decodeTogether([a, b], [1, 2]);
      expect(a.nPast).toBe(41);
    }));

  it("decodes as many as it says", () =>
    withEngine(async (engine) => {
      const sessions = Array.from({ length: 128 }, (_, i) => {
        const method = ["snapkv", "ada(snapkv)", "every:3(snapkv)", "full"][i % 4] as string;
        return engine.createSession({ method, kvSize: 24, kvType: i % 3 === 0 ? "q4_0" : "f16" });
      });
      for (const [i, session] of sessions.entries()) await session.prefill(randomTokens(40 + i, i));
      for (let step = 0; step < 3; step++) {
        await engine.decodeTogether(sessions, new Array<number>(128).fill(step));
      }
      expect(sessions.map((s) => s.nPast)).toEqual(sessions.map((_, i) => 43 + i));
    }));

  it("runs calls at the same time one after the other, whatever their sessions", () =>
    withEngine(async (engine) => {
      const [together, alone] = [await started(engine), await started(engine)];
      const [a, b, c] = together as [Session, Session, Session];
      await Promise.all([
        engine.decodeTogether([a, b], [1, 2]),
        engine.decodeTogether([c, b], [3, 4]),
        engine.decodeTogether([b, a], [5, 6]),
        c.decode(7),
      ]);
      for (const [i, tokens] of [
        [1, 6],
        [2, 4, 5],
        [3, 7],
      ].entries()) {
        for (const token of tokens) await (alone[i] as Session).decode(token);
      }
      expectAlike([a, b, c], alone);
    }));

  it("waits for a step when one of its sessions is disposed", () =>
    withEngine(async (engine) => {
      const [a, b] = (await started(engine)) as [Session, Session];
      const step = engine.decodeTogether([a, b], [1, 2]);
      b[Symbol.dispose]();
      await step.catch((error: unknown) => {
        expect(error).toMatchObject({ code: "DISPOSED" });
      });
      await expect(engine.decodeTogether([a, b], [1, 2])).rejects.toThrow("different sessions");
      await a.decode(3);
    }));

  it("answers several at a time, each to its own end", () =>
    withEngine(
      async (engine) => {
        const ways = WAYS.slice(0, 3);
        const [together, alone] = [await started(engine, ways), await started(engine, ways)];
        const options = { maxTokens: 12, temperature: 0, ignoreEndOfText: true };
        const tokens = together.map((): number[] => []);
        const reasons: unknown[] = [];
        for await (const piece of engine.generateTogether(together, options)) {
          tokens[together.indexOf(piece.session)]?.push(piece.token);
          reasons.push(piece.finishReason);
        }
        expect(reasons.filter((r) => r === "length")).toHaveLength(3);
        for (const [i, session] of alone.entries()) {
          // Greedy, teacher-forced: where two tokens are nearly as likely, sums of another order may choose the other.
          for (const token of tokens[i] as number[]) {
            const best = session.logits.reduce((m, x) => Math.max(m, x), -Infinity);
            expect(session.logits[token]).toBeGreaterThan(best - tolerance(kernels, 0.02));
            await session.decode(token);
          }
          expect(tokens[i]).toHaveLength(12);
        }
        // The last token of an answer is read with what follows.
        expect(together.map((s) => s.nPast)).toEqual(ways.map(({ n }) => n + 11));
        await engine.decodeTogether(together, [4, 4, 4]);
        for (const session of alone) await session.decode(4);
        expectAlike(together, alone);
      },
      { vocabulary: true },
    ));

  it("keeps its sessions busy while it answers, and frees them when the caller stops", () =>
    withEngine(
      async (engine) => {
        const [a, b] = (await started(engine)) as [Session, Session];
        for await (const _ of engine.generateTogether([a, b], { ignoreEndOfText: true })) {
          await expect(a.decode(1)).rejects.toThrow("generating");
          break;
        }
        await a.decode(1);
        const controller = new AbortController();
        const run = async () => {
          const options = { signal: controller.signal, ignoreEndOfText: true };
          for await (const _ of engine.generateTogether([a, b], options)) controller.abort();
        };
        await expect(run()).rejects.toMatchObject({ code: "ABORTED" });
        await b.decode(1);
      },
      { vocabulary: true },
    ));
});
