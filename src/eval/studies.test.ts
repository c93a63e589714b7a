import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { TestFolder } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { calibrate } from "./calibrate.ts";
import { needleNumber } from "./needle/facts.ts";
import { repeatedRuns, runLong } from "./long.ts";
import { runPairs, sharedFacts } from "./pair.ts";
import { resultSections } from "./report/sections.ts";
import { readResults, ResultFile } from "./run/result-file.ts";
import { qualityRuns, runQuality, type AlphaTable } from "./quality.ts";

/** The tiny model's tokens are bytes: enough of them for a document. */
const text = Array.from({ length: 900 }, (_, i) => `Line ${i} of the text. `).join("");

async function withEngine(test: (engine: Engine) => Promise<void>): Promise<void> {
  using folder = new TestFolder();
  const model = folder.tiny({ nLayer: 2, nCtx: 8192, vocabulary: true });
  await using engine = await Engine.load({ model, threads: 1 });
  await test(engine);
}

it("quality: nothing is lost where nothing is evicted, and something where much is", () =>
  withEngine(async (engine) => {
    const run = (method: string, size: number) => ({
      name: method,
      size,
      options: { method, kvSize: size },
    });
    const rows = await runQuality(engine, {
      runs: [run("snapkv", 6000), run("random", 32), run("probe(snapkv)", 6000)],
      modes: ["aware", "agnostic"],
      texts: [text],
      documents: 1,
      lengths: [1000],
      depths: [0.5],
      steps: 8,
    });
    expect(rows.map((r) => `${r.mode} ${r.run.name}`)).toHaveLength(8);
    for (const row of rows) {
      expect([row.kl.length, row.needles.length]).toEqual([1, 1]);
      const [kl = NaN] = row.kl;
      if (row.run.size === 32) expect(kl).toBeGreaterThan(1e-4);
      else expect(Math.abs(kl)).toBeLessThan(1e-4);
    }
  }));

it("quality: what is in a file of results is not measured again, and gives the same rows", () =>
  withEngine(async (engine) => {
    using folder = new TestFolder();
    const path = join(folder.path, "quality.jsonl");
    const run = (method: string) => ({ name: method, options: { method, kvSize: 32 } });
    const measure = async (methods: readonly string[], signal?: AbortSignal) =>
      runQuality(engine, {
        runs: methods.map(run),
        modes: ["aware", "agnostic"],
        texts: [text],
        signal,
        documents: 1,
        lengths: [1000],
        depths: [0.5],
        steps: 4,
        results: await ResultFile.open(path),
      });
    const first = await measure(["snapkv"]);
    const written = readFileSync(path, "utf8");
    expect(written.trim().split("\n")).toHaveLength(2 * 2 * 2);
    expect(await measure(["snapkv"], AbortSignal.abort())).toEqual(first);
    expect(readFileSync(path, "utf8")).toBe(written);
    const more = await measure(["snapkv", "random"]);
    expect(more.filter(({ run: { name } }) => name !== "random")).toEqual(first);
    const [section] = resultSections(await readResults(path));
    expect(section?.title).toBe("Nearness to the full cache, the question in the prompt");
    expect(section?.tables[1]?.rows.map(([name]) => name)).toEqual(["full", "snapkv", "random"]);
  }));

it("quality: a text that is shorter than what is made of it is refused", () =>
  withEngine(async (engine) => {
    const o = { runs: [], modes: ["aware"], texts: ["Too short. ".repeat(20)], steps: 1 } as const;
    const none = { documents: 0, lengths: [], depths: [0.5] };
    await expect(runQuality(engine, { ...o, ...none, documents: 2 })).rejects.toThrow(
      /a document needs 3000 tokens, there are 221; give a longer text/,
    );
    await expect(runQuality(engine, { ...o, ...none, lengths: [1000] })).rejects.toThrow(
      /a prompt of 1000 needs \d+ tokens, there are 221/,
    );
    await expect(runQuality(engine, { ...o, ...none, lengths: [10] })).rejects.toThrow(
      /the needle's prompt needs \d+ tokens, there are 10; ask for a longer one/,
    );
    const pairs = { haystack: "short", articles: 1, length: 100, reportTokens: 1, ways: [] };
    await expect(runPairs(engine, pairs)).rejects.toThrow(
      /an article needs 100 tokens, there are 6/,
    );
  }));

it("quality: the observation window may differ by task", () =>
  withEngine(async (engine) => {
    const run = { name: "snapkv", size: 64, options: { method: "snapkv", kvSize: 64 } };
    const measure = async (alphaFor?: AlphaTable) => {
      const rows = await runQuality(engine, {
        runs: [run],
        modes: ["aware"],
        texts: [text],
        alphaFor,
        documents: 1,
        lengths: [],
        depths: [],
        steps: 4,
      });
      return rows[1]?.kl;
    };
    const usual = await measure();
    expect(await measure({ needle: 64 })).toEqual(usual);
    expect(await measure({ summary: 8 })).toEqual(usual);
    expect(await measure({ summary: 64 })).not.toEqual(usual);
  }));

it("quality: cache types are compared at equal bytes", async () => {
  using folder = new TestFolder();
  const model = folder.tiny({ nLayer: 2, nHead: 2, nHeadKv: 1, nEmbd: 64, vocabulary: true });
  await using engine = await Engine.load({ model, threads: 1 });
  const grid = { methods: ["full", "snapkv"], kvSizes: [90], kvTypes: ["f16", "q8_0", "q4_0"] };
  const runs = qualityRuns(grid, engine.model);
  expect(runs.map(({ name }) => name)).toEqual(
    ["full, q8_0", "full, q4_0", "snapkv", "snapkv, q8_0", "snapkv, q4_0"], // prettier-ignore
  );
  const sizes = runs.slice(2).map(({ options }) => {
    using session = engine.createSession(options);
    return session.compression.options.kvSize;
  });
  expect(sizes).toEqual([90, Math.floor((90 * 64) / 34), Math.floor((90 * 64) / 18)]);
});

it("calibrate: every head of the model gets a weight", () =>
  withEngine(async (engine) => {
    const steps: number[] = [];
    const profile = await calibrate(engine, {
      texts: [text],
      documents: 1,
      needles: 1,
      onStep: (done, total) => steps.push(done / total),
    });
    expect(profile.model).toBe(engine.fingerprint);
    expect(profile.weights.map((row) => row.length)).toEqual([2, 2]);
    expect(steps.at(-1)).toBe(1);
    using session = engine.createSession({ method: "funnel", kvSize: 64, profile });
    expect(session.compression.options.profile).toBe(engine.fingerprint);
    await session.prefill(engine.tokenizer.encode(text.slice(0, 900)));
    expect(session.cache.meanKept).toBeCloseTo(64, 6);
    const wrong = { ...profile, weights: [[1]], shares: [[0]] };
    expect(() => engine.createSession({ method: "funnel", profile: wrong })).toThrow(
      /the profile is of 1 layers and 1 kv heads, the model has 2 and 2/,
    );
  }));

it("needles for calibration are none that are tested with", () => {
  const tested = Array.from({ length: 50 }, (_, i) => needleNumber(i).text.split(" is ")[0]);
  for (let i = 0; i < 50; i++) {
    expect(tested).not.toContain(needleNumber(i, "calibration").text.split(" is ")[0]);
  }
});

it("pair: what keeps everything writes the full cache's report, and what keeps little another", () =>
  withEngine(async (engine) => {
    const rows = await runPairs(engine, {
      haystack: text,
      articles: 2,
      length: 600,
      reportTokens: 16,
      ways: [
        { method: "full" },
        { method: "snapkv", kvSize: 6000 },
        { method: "snapkv", kvSize: 24, alpha: 8 },
        { method: "snapkv", kvSize: 24, alpha: 16 },
        { method: "kvzip", kvSize: 24 },
      ],
    });
    expect(rows.map(({ way }) => `${way.method} ${way.kvSize} ${way.alpha}`)).toEqual([
      "full undefined undefined",
      "snapkv 6000 undefined",
      "snapkv 24 8",
      "snapkv 24 16",
      "kvzip 24 undefined",
    ]);
    const [full, all, ...small] = rows;
    for (const row of [full, all]) {
      expect(row?.rougeL.map((x) => x.toFixed(3))).toEqual(["1.000", "1.000"]);
      expect(row?.facts).toEqual([1, 1]);
      for (const own of row?.kl ?? []) for (const kl of own) expect(kl).toBeLessThan(1e-4);
    }
    for (const row of small) {
      expect([row.short.length, row.recalled.length, row.kl.length]).toEqual([2, 2, 2]);
      for (const own of row.kl) for (const kl of own) expect(kl).toBeGreaterThan(1e-3);
    }
  }));

it("pair: names and numbers are words that begin with a capital or a digit", () => {
  const truth = "Ada met Bob in 1843, and bob met 12 men. Ada!";
  expect(sharedFacts("In 1843 Bob", truth)).toBe(2 / 4);
  expect(sharedFacts(truth, truth)).toBe(1);
  expect(sharedFacts("", "nothing here")).toBe(1);
  expect(sharedFacts("ada", "Ada")).toBe(0);
});

it("long: the full cache is its own measure, and a fixed cache keeps its size", () =>
  withEngine(async (engine) => {
    const rows = await runLong(engine, {
      haystack: text,
      texts: 2,
      length: 400,
      tokens: 24,
      ways: [
        { method: "every:4(snapkv)", kvSize: 6000 },
        { method: "every:4(snapkv)", kvSize: 24 },
      ],
    });
    const [full, all, small] = rows;
    expect(full?.kl.flat()).toEqual(new Array(8).fill(0));
    expect(full?.top1.flat()).toEqual(new Array(8).fill(1));
    for (const kl of all?.kl.flat() ?? []) expect(Math.abs(kl)).toBeLessThan(1e-3);
    for (const kl of small?.kl.flat() ?? []) expect(kl).toBeGreaterThan(1e-4);
    expect(all?.repeated).toEqual(full?.repeated);
    expect(small?.found).toHaveLength(2);
    expect(small?.kvBytes).toBeLessThan((full?.kvBytes ?? 0) / 4);
  }));

it("long: runs repeat in a loop, and not where all differ", () => {
  expect(repeatedRuns([1, 2, 3, 4, 5, 6])).toBe(0);
  expect(repeatedRuns(Array.from({ length: 103 }, (_, i) => i % 4))).toBe(0.96);
  expect(repeatedRuns([1, 2])).toBe(0);
});
