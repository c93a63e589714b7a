import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KERNELS, tolerance } from "../../test/helpers/kernels.ts";
import { METHOD_CASES, WRAPPED } from "../../test/helpers/method-names.ts";
import { expectStep } from "../../test/helpers/step-check.ts";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { composeRecipe } from "../compression/compose.ts";
import { METHODS } from "../compression/methods.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { Engine } from "./engine.ts";
import type { SessionOptions } from "./session-options.ts";
import type { Session } from "./session.ts";

/** What holds of every method, KV type and kernel, whatever the lengths: tried with lengths by chance. */
const KV_TYPES = ["f16", "q8_0", "q4_0"] as const;
/** Around what the kernels read at once. */
const EDGES = [31, 32, 33, 63, 64, 65, 127, 128, 129];
const RUNS = { numRuns: 2 };
const EVERY = 8;
const MODEL = { nLayer: 2, headDim: 32, vocabulary: true };

const anyEdge = fc.constantFrom(...EDGES);
const token = fc.integer({ min: 3, max: 299 });

interface State {
  readonly nPast: number;
  readonly bytes: number;
  readonly positions: number[][][];
  readonly logits: number[];
}

function stateOf(session: Session): State {
  const { nPast, cache } = session;
  return {
    nPast,
    bytes: cache.bytes,
    logits: nPast === 0 ? [] : [...session.logits],
    positions: cache.layers.map((layer) => layer.heads.map((_, h) => [...layer.positions(h)])),
  };
}

const difference = (a: Float32Array, b: Float32Array) =>
  a.reduce((max, x, i) => Math.max(max, Math.abs(x - (b[i] ?? NaN))), 0);

describe.each(KERNELS)("with %s", (kernels) => {
  let folder: TestFolder;
  let engine: Engine;
  beforeAll(async () => {
    folder = new TestFolder();
    const model = folder.tiny(MODEL);
    engine = await Engine.load({ model, threads: 1, kernels, chunkTokens: 128 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  /** Sessions of the same options. */
  const sessions = (n: number, options: SessionOptions) =>
    Array.from({ length: n }, () => engine.createSession(options)) as [
      Session,
      Session,
      ...Session[],
    ];
  const dispose = (some: readonly Session[]) => {
    for (const session of some) session[Symbol.dispose]();
  };
  const limitOf = (kvType: string) => tolerance(kernels, kvType === "q4_0" ? 0.3 : 5e-2);

  describe.each(METHOD_CASES)("%s", (method) => {
    const { window, sinks } = resolveCompression({ method, kvSize: 1000 }).options;
    const edge = fc.constantFrom(...EDGES.filter((size) => size > window + sinks));
    it.each(KV_TYPES)("decodes tokens as it prefills them, alone and together, in %s", (kvType) =>
      fc.assert(
        fc.asyncProperty(edge, anyEdge, fc.tuple(token, token), async (size, n, tokens) => {
          const options = { method, kvSize: size, kvType, kvLimit: 2000 };
          const some = sessions(4, options);
          const [turn, alone, together, other] = some as [Session, Session, Session, Session];
          for (const session of [turn, alone, together]) await session.prefill(randomTokens(n));
          await other.prefill(randomTokens(size, 5));
          await turn.prefill(tokens);
          for (const own of tokens) {
            await alone.decode(own);
            await engine.decodeTogether([other, together], [7, own]);
          }
          for (const session of [alone, together]) {
            const { nPast, positions } = stateOf(session);
            expect(stateOf(turn)).toMatchObject({ nPast, positions });
            expect(difference(session.logits, turn.logits)).toBeLessThan(limitOf(kvType));
          }
          dispose(some);
        }),
        RUNS,
      ),
    );

    it.each(KV_TYPES)("leaves no trace of what was reset or aborted, in %s", (kvType) =>
      fc.assert(
        fc.asyncProperty(
          edge,
          anyEdge,
          fc.double({ min: 0, max: 0.9, noNaN: true }),
          async (size, n, share) => {
            const some = sessions(2, { method, kvSize: size, kvType });
            const [used, fresh] = some;
            await used.prefill(randomTokens(200, 8));
            for (let i = 0; i < 20; i++) await used.decode(5 + i);
            await used.reset();
            expect(stateOf(used)).toMatchObject({ nPast: 0, bytes: 0 });
            const abort = async (tokens: Int32Array) => {
              const before = stateOf(used);
              const controller = new AbortController();
              const onProgress = (done: number) => {
                if (done >= share) controller.abort();
              };
              const reading = used.prefill(tokens, { signal: controller.signal, onProgress });
              await expect(reading).rejects.toMatchObject({ code: "ABORTED" });
              expect(stateOf(used)).toEqual(before);
            };
            await abort(randomTokens(400, 9));
            for (const session of some) await session.prefill(randomTokens(n, 2));
            expect(stateOf(used)).toEqual(stateOf(fresh));
            await abort(randomTokens(300, 3));
            for (const session of some) await session.prefill(randomTokens(30, 4));
            for (const session of some) await session.decode(11);
            expect(stateOf(used)).toEqual(stateOf(fresh));
            dispose(some);
          },
        ),
        RUNS,
      ),
    );

    it("reads prompts of one, two and three tokens at size 1", async () => {
      const { options } = resolveCompression({ method }).method;
      const least = options.includes("kvSize")
        ? { kvSize: 1, ...pick(options, { window: 0, sinks: 0 }) }
        : {};
      for (const n of [1, 2, 3]) {
        const some = sessions(1, { method, ...least });
        const [session] = some;
        await session.prefill(randomTokens(n, n));
        for (const token of [5, 6, 7]) await expectStep(session, { token, model: MODEL, kernels });
        for (const heads of stateOf(session).positions) {
          for (const positions of heads) expect(positions.length).toBeGreaterThan(0);
        }
        dispose(some);
      }
    });
  });

  const repeated = [...Object.keys(METHODS), ...Object.values(WRAPPED)]
    .map((name) => `every:${EVERY}(${name})`)
    .filter(isMethod);
  it.each(repeated)("%s keeps some of the tokens that were decoded last", (method) =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom(48, 64, 96),
        fc.integer({ min: 1, max: 300 }),
        async (kvSize, n) => {
          const some = sessions(1, { method, kvSize });
          const [session] = some;
          // Those that force nothing may drop a few; what grew since the prompt cannot all be worse than it.
          const last = session.compression.options.window > 0 ? EVERY : kvSize;
          await session.prefill(randomTokens(n));
          for (let i = 0; i < kvSize + 2 * EVERY; i++) await session.decode((7 * i + 3) % 300);
          for (const heads of stateOf(session).positions) {
            for (const positions of heads) {
              expect(positions.some((p) => p >= session.nPast - last)).toBe(true);
            }
          }
          dispose(some);
        },
      ),
      RUNS,
    ),
  );
});

/** The options that a method has. */
function pick(names: readonly string[], options: Readonly<Record<string, number>>): object {
  return Object.fromEntries(Object.entries(options).filter(([name]) => names.includes(name)));
}

function isMethod(name: string): boolean {
  try {
    composeRecipe(name);
    return true;
  } catch {
    return false;
  }
}
