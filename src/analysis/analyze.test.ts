import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildGguf, type TensorInput } from "../../test/helpers/gguf-writer.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { analyze } from "./analyze.ts";
import { narrowsAt } from "./narrowing.ts";
import { Ranker } from "./ranked.ts";
import { retention } from "./retention.ts";

const N = 300;
const tokens = randomTokens(N);
const ALL = { spread: N };
let folder: TestFolder;
beforeAll(() => void (folder = new TestFolder()));
afterAll(() => folder[Symbol.dispose]());

/** A model whose queries are all 0: every query attends to all its keys alike. */
function evenModel(change: (tensors: readonly TensorInput[]) => void = () => undefined): string {
  const { metadata, tensors } = tinyModel({ vocabulary: true });
  for (const tensor of tensors) if (tensor.name.includes("attn_q")) tensor.data.fill(0);
  change(tensors);
  return folder.file("even.gguf", buildGguf(metadata, tensors));
}

describe("a model that attends to all tokens alike", () => {
  /** Averaged over the queries, which see 1 to N keys. */
  const mean = (of: (seen: number) => number) =>
    Array.from({ length: N }, (_, i) => of(i + 1)).reduce((a, b) => a + b) / N;
  /** Of n keys, those within a stretch. */
  const within = (n: number, from: number, to: number) => Math.max(0, Math.min(n, to) - from) / n;
  /** Compares the numbers of every layer and head. */
  const everywhere = (
    all: readonly (readonly (number | readonly number[])[])[],
    expected: readonly number[],
  ) => {
    expect(all).toHaveLength(3);
    for (const own of all.flat()) {
      const values = typeof own === "number" ? [own] : own;
      expect(values).toHaveLength(expected.length);
      values.forEach((x, i) => expect(x / (expected[i] || 1)).toBeCloseTo(expected[i] ? 1 : 0, 4));
    }
  };

  it("has the closed form's funnel, locality and maps", async () => {
    await using engine = await Engine.load({ model: evenModel(), threads: 1 });
    const { funnel, locality, maps } = await analyze(engine, tokens, ALL);
    const one = (of: (n: number) => number) => [mean(of)];
    everywhere(
      funnel.topMass,
      funnel.topKs.map((k) => mean((n) => within(n, 0, k))),
    );
    everywhere(
      funnel.topShareMass,
      funnel.topShares.map((share) => mean((n) => Math.max(1, Math.round(share * n)) / n)),
    );
    everywhere(
      funnel.reach,
      funnel.topKs.map((k) => within(N - 64, 0, k)),
    );
    everywhere(funnel.entropy, one(Math.log));
    everywhere(
      funnel.effectiveKeys,
      one((n) => n),
    );
    everywhere(
      funnel.sinks,
      one((n) => within(n, 0, 4)),
    );
    everywhere(
      funnel.window,
      one((n) => within(n, 0, 8)),
    );
    expect(funnel.narrowsAt).toBeUndefined();
    const { distances, stretch } = locality;
    expect(locality.windows).toEqual([64, 128, 256]);
    everywhere(
      locality.byDistance,
      distances.map((from, i) => mean((n) => within(n, from, distances[i + 1] ?? N))),
    );
    everywhere(
      locality.byPosition,
      Array.from({ length: Math.ceil(N / stretch) }, (_, i) =>
        mean((n) => within(n, i * stretch, (i + 1) * stretch)),
      ),
    );
    everywhere(
      locality.outside,
      locality.windows.map((window) => {
        const seeing = Array.from({ length: N - window - 4 }, (_, i) => (i + 1) / (window + 5 + i));
        return seeing.reduce((a, b) => a + b) / seeing.length;
      }),
    );
    for (const map of maps.maps.flat()) {
      map.forEach((x, at) => {
        const [query, column] = [Math.floor(at / maps.columns), at % maps.columns];
        expect(x).toBeCloseTo(column * maps.stretch <= query ? 1 / (query + 1) : 0, 6);
      });
    }
    // What queries from a token on give it; only the first ones get 1 %.
    for (const { position, share } of maps.massive) {
      const given = Array.from({ length: N - position }, (_, i) => 1 / (position + i + 1));
      expect(share).toBeCloseTo(given.reduce((a, b) => a + b) / given.length, 6);
    }
    expect(maps.massive.filter(({ il }) => il === 2).map(({ position }) => position)).toEqual(
      Array.from({ length: 8 }, (_, i) => i),
    );
  });

  // Tokens of two kinds, the first FEW of one: values are (1, 0, …) and (0, 1, …), so that an output is a share of each.
  const FEW = 100;
  const [ONE, OTHER] = [5, 6];
  const kinds = Int32Array.from({ length: N }, (_, i) => (i < FEW ? ONE : OTHER));
  /** ‖(a, 1 − a) − (b, 1 − b)‖ / ‖(b, 1 − b)‖ */
  const apart = (a: number, b: number) => (Math.SQRT2 * Math.abs(a - b)) / Math.hypot(b, 1 - b);
  const twoKinds = () =>
    evenModel((tensors) => {
      const of = (name: string) => {
        const { data } = tensors.find((tensor) => tensor.name === name) as TensorInput;
        return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
      };
      const [embedding, norm, v] = ["token_embd", "blk.0.attn_norm", "blk.0.attn_v"].map((name) =>
        of(`${name}.weight`),
      ) as [Float32Array, Float32Array, Float32Array];
      norm.fill(1);
      v.fill(0);
      [ONE, OTHER].forEach((token, d) => {
        embedding.fill(0, token * 64, (token + 1) * 64);
        embedding[token * 64 + d] = 1; // 8 after the norm
        for (const kvHead of [0, 1]) v[(kvHead * 16 + d) * 64 + d] = 1 / 8;
      });
    });

  it("has the closed form's needs and errors", async () => {
    await using engine = await Engine.load({ model: twoKinds(), threads: 1, kernels: "ggml" });
    const { needs } = await analyze(engine, kinds, { ...ALL, studies: ["needs"] });
    // Keys of one weight are taken in their order: with k ≥ FEW of n, FEW / k of them are of the first kind.
    const fewest = (n: number, error: number) => {
      if (n <= FEW) return 1;
      const share = FEW / n;
      return Math.ceil(FEW / (share + (error * Math.hypot(share, 1 - share)) / Math.SQRT2) - 1e-6);
    };
    const expected = needs.errors.map((error) => {
      const rising = Array.from({ length: N }, (_, i) => fewest(i + 1, error)).sort(
        (a, b) => a - b,
      );
      return needs.quantiles.map((q) => rising[Math.floor(q * (N - 1))] as number);
    });
    expect(needs.own[0]).toEqual([expected, expected]);

    const ways = [{ method: "streaming-llm", kvSize: 60 }];
    const { before, ways: found } = await retention(engine, kinds, { ways, follow: 64 });
    const kept = Array.from(found[0]?.kept[0]?.[0] as Int32Array);
    const ones = kept.filter((at) => at < FEW).length;
    const squares = Array.from({ length: 64 }, (_, i) => {
      const [n, share] = [before + i + 1, ones / (kept.length + i + 1)];
      const norm = Math.hypot(FEW / n, 1 - FEW / n);
      return { lost: (apart(share, FEW / n) * norm) ** 2, whole: norm ** 2 };
    });
    const total = (of: "lost" | "whole") => squares.reduce((sum, own) => sum + own[of], 0);
    expect(found[0]?.errors[0]).toBeCloseTo(Math.sqrt(total("lost") / total("whole")), 4);
  });
});

it("ranks as a sort does", () => {
  const weights = Float32Array.from(randomTokens(999), (t, i) => (i % 7 === 0 ? 0 : t / 321));
  const { order } = new Ranker(3).rank(weights);
  const expected = Array.from(weights.keys()).sort(
    (a, b) => (weights[b] as number) - (weights[a] as number) || a - b,
  );
  expect(Array.from(order)).toEqual(expected);
});

it("finds where a funnel narrows", () => {
  expect(narrowsAt([100, 90, 110, 9, 11, 10])).toBe(3);
  expect(narrowsAt([9, 11, 100])).toBeUndefined();
});

it("tells what ways keep, and how that serves what follows", async () => {
  await using engine = await Engine.load({ model: evenModel(), threads: 1 });
  const ways = [
    { method: "streaming-llm", kvSize: 40 },
    { method: "snapkv", kvSize: 40 },
    { method: "full" },
  ];
  const found = await retention(engine, tokens, { ways, follow: 100 });
  const [streaming, , full] = found.ways;
  expect(found.before).toBe(200);
  expect(streaming?.captured[0]?.[0]).toBeCloseTo(40 / 200, 5);
  expect(streaming?.best[0]).toBeCloseTo(40 / 200, 5);
  expect(streaming?.layerOverlap[0]?.[2]).toBe(1);
  expect(full?.drift.every((x) => Math.abs(x - 1) < 1e-5)).toBe(true);
  expect(Math.max(...(full?.errors ?? [1]))).toBeLessThan(1e-4);
  expect(found.wayOverlap[0]?.[2]).toBeCloseTo(40 / 200, 5);
  await expect(retention(engine, tokens, { ways: [] })).rejects.toThrow("no methods");
});
