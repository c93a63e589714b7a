import { describe, expect, it } from "vitest";
import { KERNELS } from "../../../test/helpers/kernels.ts";
import { buildGguf } from "../../../test/helpers/gguf-writer.ts";
import { expectStep } from "../../../test/helpers/step-check.ts";
import { randomTokens, TestFolder, tinyModel } from "../../../test/helpers/tiny-model.ts";
import { composeRecipe } from "../../compression/compose.ts";
import type { HeadEvidence } from "../../compression/evidence.ts";
import type { Method } from "../../compression/method.ts";
import { METHODS } from "../../compression/methods.ts";
import { fromHalf } from "../../ggml/half.ts";
import { readTensor } from "../../ggml/tensor-buffer.ts";
import type { LayerCache } from "../../kvcache/layer-cache.ts";
import { Engine } from "../engine.ts";
import type { Session } from "../session.ts";

const EVERY = 8;
const KV_SIZE = 48;
const MODEL = { nLayer: 3 };
const methods = Object.keys(METHODS).filter((name) => {
  try {
    composeRecipe(`every:${EVERY}(${name})`);
    return name !== "full";
  } catch {
    return false;
  }
});

async function withEngine(
  kernels: string,
  nCtx: number,
  test: (engine: Engine) => Promise<void>,
): Promise<void> {
  using folder = new TestFolder();
  const model = folder.tiny({ ...MODEL, nCtx });
  await using engine = await Engine.load({ model, threads: 1, kernels, chunkTokens: 512 });
  await test(engine);
}

async function decode(session: Session, n: number): Promise<void> {
  for (let i = 0; i < n; i++) await session.decode((7 * i + 3) % 300);
}

/** Budgets that decoded tokens do not show, and sums that are cut again. */
const composed = ["online(funnel)", "cake(h2o)", "merge(snapkv)"];
const cases = KERNELS.flatMap((kernels) =>
  [...methods, ...composed].map((method) => [method, kernels] as const),
);

/** The first head's keys of the first layer. */
function keysOf(session: Session): Float32Array {
  const layer = session.cache.layers[0] as LayerCache;
  const { row = 0, length = 0 } = layer.heads[0] ?? {};
  const bits = new Uint16Array(length * layer.headDim);
  return fromHalf(readTensor(layer.k, bits, row * layer.headDim * 2));
}

describe.each(cases)("every:8(%s) with %s", (method, kernels) => {
  it("starts from a prompt that is shorter than its size", () =>
    withEngine(kernels, 2048, async (engine) => {
      using session = engine.createSession({
        method: `every:${EVERY}(${method})`,
        kvSize: KV_SIZE,
      });
      for (let turn = 0; turn < 2; turn++) {
        await session.prefill(randomTokens(10, turn));
        await decode(session, KV_SIZE + EVERY);
        expect(session.cache.meanKept).toBeLessThan(KV_SIZE + EVERY + 10);
      }
      await expectStep(session, { token: 5, model: MODEL, kernels });
    }));

  it("keeps something of what was decoded last", () =>
    withEngine(kernels, 2048, async (engine) => {
      using session = engine.createSession({
        method: `every:${EVERY}(${method})`,
        kvSize: KV_SIZE,
      });
      await session.prefill(randomTokens(200));
      await decode(session, 20 * EVERY);
      for (const layer of session.cache.layers) {
        const decoded = layer.heads.flatMap(({ positions }) => positions.filter((p) => p >= 200));
        expect(decoded.length).toBeGreaterThan(0);
      }
    }));

  it("holds the cache at its size however long the output", () =>
    withEngine(kernels, 2048, async (engine) => {
      using session = engine.createSession({
        method: `every:${EVERY}(${method})`,
        kvSize: KV_SIZE,
      });
      await session.prefill(randomTokens(200));
      await decode(session, 2 * EVERY);
      const { bytes } = session.cache;
      for (let round = 0; round < 10; round++) {
        await decode(session, EVERY);
        expect(session.cache.bytes).toBe(bytes);
        expect(session.cache.meanKept).toBeCloseTo(KV_SIZE, 6);
        for (const layer of session.cache.layers) {
          for (const { positions } of layer.heads) {
            positions.forEach((p, i) => expect(p).toBeGreaterThan(positions[i - 1] ?? -1));
          }
        }
      }
      expect(session.nPast).toBe(200 + 12 * EVERY);
      await expectStep(session, { token: 5, model: MODEL, kernels });
    }));
});

/** A model whose queries are 0: each gives the same attention to all tokens that it sees. */
function levelModel(folder: TestFolder): string {
  const { metadata, tensors } = tinyModel({ nLayer: 2 });
  for (const { name, data } of tensors) if (name.includes("attn_q")) data.fill(0);
  return folder.file("level.gguf", buildGguf(metadata, tensors));
}

it.each([
  ["window", 24],
  ["sums", 8],
  ["far-sums", 8],
] as const)(
  "%s: queries see the tokens that stand before them, wherever these lie",
  async (kind, asked) => {
    using folder = new TestFolder();
    const model = levelModel(folder);
    await using engine = await Engine.load({ model, threads: 1 });
    const distance = kind === "far-sums" ? 64 : 0;
    const seen: { il: number; received: Float32Array; counted: Float32Array; held: Int32Array }[] =
      [];
    const method: Method = {
      ...METHODS.h2o,
      name: "mine",
      needs: [kind],
      options: ["kvSize", "alpha", "window"],
      score: ({ il, heads }) => {
        const [head] = heads as [HeadEvidence];
        const held = session.cache.layers[il]?.positions(0) ?? new Int32Array(0);
        const received = head.attention(kind).slice(0, head.n);
        const counted = kind === "window" ? new Float32Array(0) : head.counted(kind);
        seen.push({ il, received, counted, held });
        // Keeps the oldest tokens and the window: where the older queries stood is gone, so that rows are no positions.
        return heads.map(({ n }) => ({
          scores: Float32Array.from({ length: n }, (_, i) => (i % 3 === 0 ? n - i : -i)),
        }));
      },
    };
    const recipe = { method, every: 8 };
    const session = engine.createSession({ method: recipe, kvSize: 64, window: 4, alpha: 24 });
    using _session = session;
    await session.prefill(randomTokens(200));
    seen.length = 0;
    await decode(session, 40);
    const cuts = seen.filter(({ il }) => il === 1);
    expect(cuts).toHaveLength(5);
    let before = new Map<number, number>();
    for (const [i, { received, counted, held }] of cuts.entries()) {
      const next = 200 + 8 * (i + 1);
      const n = Math.min(asked, 8 * (i + 1));
      const queries = Array.from({ length: n }, (_, q) => next - n + q);
      const expected = Array.from(held, (position) => {
        const gives = (query: number) => {
          const visible = held.filter((p) => p <= query).length;
          return position <= query - distance && visible > 0 ? 1 / visible : 0;
        };
        return queries.reduce((sum, query) => sum + gives(query), 0);
      });
      for (const [j, position] of held.entries()) {
        // Sums go on from what a token had received before.
        const own = (received[j] ?? NaN) - (before.get(position) ?? (i === 0 ? NaN : 0));
        if (kind === "window") expect(received[j]).toBeCloseTo(expected[j] ?? NaN, 5);
        else if (i > 0) expect(own).toBeCloseTo(expected[j] ?? NaN, 5);
        if (kind !== "window" && position >= 200) {
          expect(counted[j]).toBe(Math.max(0, next - position - distance));
        }
      }
      before = new Map(Array.from(held, (position, j) => [position, received[j] ?? NaN]));
    }
  },
);

it("queries see the same tokens before them where kept ones move", async () => {
  using folder = new TestFolder();
  await using engine = await Engine.load({ model: levelModel(folder), threads: 1 });
  const received = async (rerotates: boolean) => {
    const seen: number[][] = [];
    const method: Method = {
      ...METHODS.snapkv,
      name: "mine",
      options: ["kvSize", "alpha", "window"],
      score: ({ heads }) => {
        const [head] = heads as [HeadEvidence];
        seen.push([...head.attention("window").slice(0, head.n)]);
        return heads.map(({ n }) => ({
          scores: Float32Array.from({ length: n }, (_, i) => (i % 3 === 0 ? n - i : -i)),
        }));
      },
    };
    const recipe = { method, every: 8, rerotates };
    using session = engine.createSession({ method: recipe, kvSize: 64, window: 4, alpha: 24 });
    await session.prefill(randomTokens(200));
    await decode(session, 40);
    return seen;
  };
  expect(await received(true)).toEqual(await received(false));
});

describe.each(KERNELS)("with %s", (kernels) => {
  it("changes nothing before it is time", () =>
    withEngine(kernels, 2048, async (engine) => {
      using once = engine.createSession({ method: "snapkv", kvSize: KV_SIZE });
      using often = engine.createSession({ method: "every:100(snapkv)", kvSize: KV_SIZE });
      for (const session of [once, often]) {
        await session.prefill(randomTokens(200));
        await decode(session, 40);
      }
      expect(often.logits).toEqual(once.logits);
    }));

  it.each(["sums", "far-sums"] as const)(
    "%s go on from what the prompt's tokens received",
    (kind) =>
      withEngine(kernels, 2048, async (engine) => {
        const calls: { scores: Float32Array; n: number; group: number }[] = [];
        const method: Method = {
          ...METHODS.h2o,
          needs: [kind],
          score: ({ il, heads }) => {
            const [head] = heads as [HeadEvidence];
            const { n, group } = head;
            if (il === 1) calls.push({ scores: head.attention(kind), n, group });
            return heads.map(() => null); // keeps the newest
          },
        };
        using session = engine.createSession({ method: { method, every: 16 }, kvSize: 104 });
        await session.prefill(randomTokens(120));
        await decode(session, 16);
        const [prompt, later] = calls as [(typeof calls)[number], (typeof calls)[number]];
        expect([prompt.n, later.n]).toEqual([120, 104 + 16]);
        for (let g = 0; g < prompt.group; g++) {
          let added = 0;
          for (let j = 0; j < 120; j++) {
            // The prompt's first 16 tokens were evicted.
            const before = j < 104 ? (prompt.scores[g * 120 + 16 + j] ?? NaN) : 0;
            const now = later.scores[g * 120 + j] ?? NaN;
            expect(now).toBeGreaterThanOrEqual(before);
            if (kind === "far-sums" && j > 119 - 64) expect(now).toBe(before);
            added += now - before;
          }
          // Every query's attention adds up to 1.
          if (kind === "sums") expect(added).toBeCloseTo(16, 3);
          else expect(added).toSatisfy((x: number) => x > 1 && x < 15);
        }
      }),
  );

  it("a prompt begins anew: what was decoded before it is asked no more", () =>
    withEngine(kernels, 2048, async (engine) => {
      const seen: { n: number; counted: Float32Array; sums: Float32Array }[] = [];
      const method: Method = {
        ...METHODS.h2o,
        score: ({ il, heads }) => {
          const { n, group, ...head } = heads[0] as HeadEvidence;
          const sums = head.attention("sums").slice(0, (n * group) / group);
          if (il === 1) seen.push({ n, counted: head.counted("sums"), sums });
          return heads.map(() => null);
        },
      };
      const recipe = { method, every: 16 };
      using session = engine.createSession({ method: recipe, kvSize: 64, kvLimit: 1000 });
      await session.prefill(randomTokens(80));
      await decode(session, 7); // not yet due
      await session.prefill(randomTokens(100, 1));
      await decode(session, 16);
      const { n, counted, sums } = seen.at(-1) as (typeof seen)[number];
      expect(n).toBe(64 + 7 + 100 + 16);
      // The second prompt's queries and those after it.
      expect(counted[0]).toBe(116);
      expect(sums.reduce((a, b) => a + b, 0)).toBeCloseTo(116, 2);
    }));

  it("budgets that only a prompt shows stay as the last cut prompt divided them", () =>
    withEngine(kernels, 2048, async (engine) => {
      using session = engine.createSession({ method: "every:8(online(funnel))", kvSize: 48 });
      const lengths = () => session.cache.layers.flatMap((l) => l.heads.map((h) => h.length));
      await session.prefill(randomTokens(300));
      const divided = lengths();
      expect(new Set(divided).size).toBeGreaterThan(1);
      await session.prefill(randomTokens(10, 1)); // too short to be cut
      await decode(session, 8);
      expect(lengths()).toEqual(divided);
    }));

  it("budgets may follow what decoded tokens show, though no ranking needs it", () =>
    withEngine(kernels, 2048, async (engine) => {
      const seen: number[] = [];
      const method: Method = {
        ...METHODS["streaming-llm"],
        budget: {
          name: "own",
          summary: "",
          kind: "weighed",
          needs: ["keys", "sums"],
          least: () => 8,
          weigh: ({ evidence }) =>
            evidence.heads.map((head) => {
              seen.push(head.keys().length, head.attention("sums").length);
              return 1;
            }),
        },
      };
      using session = engine.createSession({ method: { method, every: 8 }, kvSize: 48 });
      await session.prefill(randomTokens(100));
      const before = seen.length;
      await decode(session, 8);
      expect(seen.length).toBeGreaterThan(before);
      expect(Math.min(...seen)).toBeGreaterThan(0);
    }));

  it("an aborted prompt changes nothing of what is summed", () =>
    withEngine(kernels, 2048, async (engine) => {
      const run = async (interrupted: boolean) => {
        using session = engine.createSession({ method: "every:16(h2o)", kvSize: 64 });
        await session.prefill(randomTokens(100));
        await decode(session, 5);
        if (interrupted) {
          const stop = new AbortController();
          const onProgress = (share: number) => {
            if (share > 0.5) stop.abort();
          };
          const aborted = session.prefill(randomTokens(200, 1), {
            signal: stop.signal,
            onProgress,
          });
          await expect(aborted).rejects.toThrow(/abort/i);
        }
        await decode(session, 40);
        return session.logits.slice();
      };
      expect(await run(true)).toEqual(await run(false));
    }));

  it("decodes beyond the context where tokens move back", () =>
    withEngine(kernels, 128, async (engine) => {
      using session = engine.createSession({
        method: `every:${EVERY}(rerotate(streaming-llm))`,
        kvSize: 64,
      });
      await session.prefill(randomTokens(100));
      expect(session.endless).toBe(true);
      let pieces = 0;
      for await (const _ of session.generate({ maxTokens: 400, ignoreEndOfText: true })) pieces++;
      expect(pieces).toBe(400);
      expect(session.nPast).toBeLessThanOrEqual(64 + EVERY);
      using fixed = engine.createSession({ method: "streaming-llm", kvSize: 64 });
      await fixed.prefill(randomTokens(100));
      const answer = fixed.generate({ maxTokens: 400 });
      await expect(answer.next()).rejects.toThrow(/exceed the model's context of 128/);
    }));

  it.each([
    ["streaming-llm", 64, true],
    ["pyramidkv", 40, true],
    // Its first layer keeps more than the context holds.
    ["pyramidkv", 80, false],
    ["streaming-llm", 120, false],
  ] as const)("%s at %i never fills the context: %s", (method, kvSize, endless) =>
    withEngine(kernels, 128, async (engine) => {
      const name = `every:${EVERY}(rerotate(${method}))`;
      using session = engine.createSession({ method: name, kvSize });
      expect(session.endless).toBe(endless);
      await session.prefill(randomTokens(60));
      const answer = session.generate({ maxTokens: 300, ignoreEndOfText: true });
      if (!endless) {
        await expect(answer.next()).rejects.toThrow(/exceed the model's context of 128/);
        return;
      }
      let pieces = 0;
      for await (const _ of answer) pieces++;
      expect(pieces).toBe(300);
    }),
  );

  it("moved tokens answer as if they had always stood there", () =>
    withEngine(kernels, 2048, async (engine) => {
      // All but the first 20 tokens are kept: in layer 0, keys and values depend on token and position alone.
      const tokens = randomTokens(84);
      using moved = engine.createSession({
        method: "rerotate(streaming-llm)",
        kvSize: 64,
        sinks: 0,
      });
      using plain = engine.createSession({ method: "full" });
      await moved.prefill(tokens);
      await plain.prefill(tokens.slice(20));
      expect(moved.nPast).toBe(64);
      expect(moved.cache.layers[0]?.positions(0)).toEqual(plain.cache.layers[0]?.positions(0));
      const [ours, theirs] = [moved, plain].map((s) => keysOf(s)) as [Float32Array, Float32Array];
      ours.forEach((x, i) => expect(Math.abs(x - (theirs[i] ?? NaN))).toBeLessThan(0.01));
    }));
});
