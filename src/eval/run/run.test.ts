import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../test/helpers/random.ts";
import { TestFolder } from "../../../test/helpers/tiny-model.ts";
import { Engine } from "../../engine/engine.ts";
import { needleSamples } from "../needle/samples.ts";
import { ResultFile } from "./result-file.ts";
import type { ResultRow } from "./result-row.ts";
import { runSamples, type RunOptions } from "./run.ts";

const HAYSTACK = "The rain fell on the hills all day. Nobody came to the inn. ".repeat(40);
const WAYS = [
  { method: "full" },
  { method: "snapkv", kvSize: 24 },
  { method: "pyramidkv", kvSize: 24 },
  { method: "kvzip", kvSize: 24 },
  { method: "online(funnel)", kvSize: 48 },
];

async function withEngine(
  test: (engine: Engine, o: RunOptions, path: string) => Promise<void>,
): Promise<void> {
  using folder = new TestFolder();
  await using engine = await Engine.load({
    model: folder.tiny({ nLayer: 2, vocabulary: true }),
    threads: 1,
    chunkTokens: 128,
  });
  const samples = needleSamples(engine.tokenizer, {
    haystack: HAYSTACK,
    lengths: [400, 500],
    depths: [0, 0.5, 1],
    form: "facts",
    repeats: 1,
  });
  const results = mkdtempSync(join(tmpdir(), "pyramidkv-results-"));
  try {
    const modes = ["aware", "agnostic"] as const;
    await test(engine, { samples, ways: WAYS, modes }, join(results, "results.jsonl"));
  } finally {
    rmSync(results, { recursive: true });
  }
}

/** Everything but times, and peaks: a full cache alone takes the scratch's memory over. */
const lasting = (rows: readonly ResultRow[]) =>
  rows
    .map(({ ms: _, kv: { peakBytes: __, ...kv }, ...row }) => JSON.stringify({ ...row, kv }))
    .sort();

const rowsOf = async (path: string) => lasting((await ResultFile.open(path)).rows);

describe("a sweep", () => {
  it("ends the same, however often it is interrupted, and does nothing twice", () =>
    withEngine(async (engine, o, path) => {
      const whole = lasting(await runSamples(engine, o));
      expect(whole).toHaveLength(6 * 2 * WAYS.length);
      const random = seededRandom(7);
      let interruptions = 0;
      for (;;) {
        const controller = new AbortController();
        const left = 1 + Math.floor(random() * 2);
        let cells = 0;
        const results = await ResultFile.open(path);
        const done = results.rows.length;
        const onCell = () => {
          if (results.rows.length > done && ++cells === left && interruptions < 20) {
            controller.abort();
          }
        };
        try {
          await runSamples(engine, { ...o, results, signal: controller.signal, onCell });
          if (interruptions >= 20) break;
        } catch (error) {
          expect(error).toMatchObject({ code: "ABORTED" });
        }
        // As if the process had died while it wrote.
        interruptions++;
        const { size } = statSync(path);
        if (random() < 0.7) truncateSync(path, Math.max(0, size - Math.floor(random() * 1500)));
      }
      expect(await rowsOf(path)).toEqual(whole);
      expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(whole.length);
    }));

  it("gives the answers of separate runs", () =>
    withEngine(async (engine, o) => {
      const together = await runSamples(engine, o);
      const apart: ResultRow[] = [];
      for (const way of o.ways) {
        apart.push(...(await runSamples(engine, { ...o, ways: [way] })));
      }
      expect(lasting(apart)).toEqual(lasting(together));
    }));

  it("is the sum of its shards", () =>
    withEngine(async (engine, o, path) => {
      const whole = lasting(await runSamples(engine, o));
      for (const part of [2, 0, 1]) {
        const results = await ResultFile.open(path);
        const before = results.rows.length;
        await runSamples(engine, { ...o, results, shard: [part, 3] });
        expect(results.rows.length - before).toBe(whole.length / 3);
      }
      expect(await rowsOf(path)).toEqual(whole);
    }));

  it("adds a method to what is there", () =>
    withEngine(async (engine, o, path) => {
      const [full, ...others] = o.ways;
      await runSamples(engine, { ...o, ways: others, results: await ResultFile.open(path) });
      const before = readFileSync(path, "utf8");
      await runSamples(engine, { ...o, results: await ResultFile.open(path) });
      expect(readFileSync(path, "utf8").startsWith(before)).toBe(true);
      const rows = await ResultFile.open(path);
      const fulls = rows.rows.filter(({ method }) => method === full?.method);
      expect(fulls).toHaveLength(12);
      expect(lasting(rows.rows)).toEqual(lasting(await runSamples(engine, o)));
    }));

  it("compresses before or after it sees the question", () =>
    withEngine(async (engine, o) => {
      const rows = await runSamples(engine, { ...o, samples: o.samples.slice(0, 1) });
      const [aware, agnostic] = o.modes.map((mode) => rows.filter((row) => row.mode === mode));
      expect(aware?.map(({ promptTokens }) => promptTokens)).toEqual(
        agnostic?.map(({ promptTokens }) => promptTokens),
      );
      // The question is not in the cache yet when the bytes are read.
      expect(agnostic?.[0]?.kv.fullBytes).toBeLessThan(aware?.[0]?.kv.fullBytes ?? 0);
      for (const row of rows.filter(({ method }) => method === "snapkv")) {
        expect(row.kv.meanKept).toBe(24);
      }
    }));
});

it("leaves out what does not fit, tells why, and does the rest", () =>
  withEngine(async (engine, o) => {
    const { tokenizer } = engine;
    const samples = needleSamples(tokenizer, {
      haystack: HAYSTACK,
      lengths: [400, 5000],
      depths: [0.5],
      form: "facts",
      repeats: 1,
    });
    const problems: string[] = [];
    const onProblem = (problem: string) => problems.push(problem);
    const rows = await runSamples(engine, { ...o, samples, modes: ["aware"], onProblem });
    expect(rows.map(({ task }) => task)).toEqual(WAYS.map(() => "needle/400"));
    expect(problems).toEqual([
      expect.stringMatching(/^needle\/5000, facts at 0.5: .*context of 2048/),
    ]);
    await expect(runSamples(engine, { ...o, samples })).rejects.toMatchObject({
      code: "CONTEXT_FULL",
    });
  }));

it("does not take one quantization's answers for another's", async () => {
  using folder = new TestFolder();
  const models = ["f32", "q8_0"] as const;
  const names = new Set<string>();
  const prints = new Set<string>();
  for (const weights of models) {
    const model = folder.tiny({ nLayer: 2, vocabulary: true, weights });
    await using engine = await Engine.load({ model, threads: 1 });
    names.add(engine.weights);
    prints.add(engine.fingerprint);
  }
  expect([names.size, prints.size]).toEqual([2, 1]);
});

it("is shared by several processes: each answer once, whoever was cut off", () =>
  withEngine(async (engine, o, path) => {
    const [one, other] = [await ResultFile.open(path), await ResultFile.open(path)];
    const both = [
      runSamples(engine, { ...o, results: one }),
      runSamples(engine, { ...o, results: other }),
    ];
    await Promise.all(both);
    const whole = lasting(await runSamples(engine, o));
    expect(await rowsOf(path)).toEqual(whole);
    expect(lasting(other.rows)).toEqual(lasting(one.rows));
    // A third one died within a line.
    appendFileSync(path, '{"task":"needle/40');
    const [row] = one.rows as [ResultRow];
    await one.append([{ ...row, sample: "one more" }]);
    await other.append([{ ...row, sample: "and another" }]);
    expect(await rowsOf(path)).toHaveLength(whole.length + 2);
  }));

describe("a file of results", () => {
  it.each([
    ["not json\n", "line 1 is no JSON object"],
    ['{"task":"a"}\n', "line 1 is no result"],
    ['{"precious":1}', "holds something else than results"],
    ["precious", "holds something else than results"],
  ])("that holds %j is refused", async (text, message) => {
    const folder = mkdtempSync(join(tmpdir(), "pyramidkv-results-"));
    try {
      const path = join(folder, "results.jsonl");
      writeFileSync(path, text);
      await expect(ResultFile.open(path)).rejects.toThrow(message);
      expect(readFileSync(path, "utf8")).toBe(text);
      await expect(ResultFile.open(join(folder, "none", "x"))).rejects.toThrow("(ENOENT)");
      await expect(ResultFile.open(folder)).rejects.toThrow("cannot be written (EISDIR)");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
