import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestFolder } from "../../../test/helpers/tiny-model.ts";
import { Engine } from "../../engine/engine.ts";
import { needleSamples } from "../needle/samples.ts";
import { ResultFile } from "../run/result-file.ts";
import type { ResultRow } from "../run/result-row.ts";
import { answerCell, runSamples, type RunOptions } from "../run/run.ts";
import { connect } from "./cell-queue.ts";
import { distributeSamples } from "./distribute.ts";
import { work } from "./worker.ts";

const SERVERS = ["valkey-server", "redis-server"];
const installed = await Promise.all(
  SERVERS.map((name) =>
    promisify(execFile)("which", [name]).then(
      () => name,
      () => undefined,
    ),
  ),
);
const server = installed.find((name) => name !== undefined);
if (server === undefined && process.env.PYRAMIDKV_REQUIRE_SHARED === "1") {
  throw new Error(`neither ${SERVERS.join(" nor ")} is installed: the queue cannot be tested`);
}

const LEASE_MS = 1000;

describe.skipIf(server === undefined)(`a queue on ${server ?? "no server"}`, () => {
  const folder = new TestFolder();
  const modelPath = folder.tiny({ nLayer: 2, vocabulary: true });
  const data = mkdtempSync(join(tmpdir(), "pyramidkv-queue-"));
  let redis: ChildProcess;
  let queue: string;
  let engine: Engine;
  let options: RunOptions;

  beforeAll(async () => {
    const port = await freePort();
    queue = `redis://127.0.0.1:${port}`;
    redis = spawn(server as string, ["--port", String(port), "--save", "", "--dir", data], {
      stdio: "ignore",
    });
    for (let i = 0; ; i++) {
      try {
        (await connect(queue)).disconnect();
        break;
      } catch (error) {
        if (i === 50) throw error;
        await delay(100);
      }
    }
    engine = await Engine.load({ model: modelPath, threads: 1, chunkTokens: 128 });
    const samples = needleSamples(engine.tokenizer, {
      haystack: "The rain fell on the hills all day. ".repeat(60),
      form: "facts",
      repeats: 2,
      lengths: [400, 500],
      depths: [0, 0.5, 1],
    });
    const ways = [{ method: "full" }, { method: "snapkv", kvSize: 24 }];
    options = { samples, ways, modes: ["aware"] };
  }, 60_000);
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    redis.kill("SIGKILL");
    folder[Symbol.dispose]();
    rmSync(data, { recursive: true });
  });

  const lasting = (rows: readonly ResultRow[]) =>
    rows.map(({ ms: _, ...row }) => JSON.stringify(row)).sort();

  /** A worker in this process, and how it is ended. */
  const startWorker = (answer = answerCell, leaseMs = LEASE_MS) => {
    const controller = new AbortController();
    const done = work(engine, { queue, leaseMs, answer, signal: controller.signal });
    return async () => {
      controller.abort();
      await done;
    };
  };

  it("gives what one process gives, each answer once", async () => {
    const expected = lasting(await runSamples(engine, options));
    const stops = [startWorker(), startWorker()];
    const path = join(data, "results.jsonl");
    const results = await ResultFile.open(path);
    await distributeSamples(engine, { ...options, results, queue });
    for (const stop of stops) await stop();
    expect(lasting((await ResultFile.open(path)).rows)).toEqual(expected);
    // Again there is nothing to do, and no worker is needed for that.
    await distributeSamples(engine, { ...options, results: await ResultFile.open(path), queue });
  }, 60_000);

  it("does what is asked for twice once", async () => {
    const stop = startWorker();
    const { samples } = options;
    const twice = { ...options, samples: [...samples, ...samples], queue };
    const rows = await distributeSamples(engine, { ...twice, results: await ResultFile.open() });
    await stop();
    expect(lasting(rows)).toEqual(lasting(await runSamples(engine, options)));
  }, 60_000);

  it("gives a killed worker's cell to another", async () => {
    const expected = lasting(await runSamples(engine, options));
    const child = spawnWorker(modelPath, queue);
    const results = await ResultFile.open();
    let killed = false;
    const onCell = () => {
      if (killed) return;
      killed = true;
      // It has taken the next one already.
      setTimeout(() => child.kill("SIGKILL"), 20);
    };
    const all = distributeSamples(engine, { ...options, results, queue, onCell });
    await new Promise((resolve) => child.once("exit", resolve));
    expect(killed, "the worker ended by itself").toBe(true);
    expect(results.rows.length).toBeLessThan(expected.length);
    const stop = startWorker();
    expect(lasting(await all)).toEqual(expected);
    await stop();
  }, 120_000);

  it("goes on after the process that asks was stopped", async () => {
    const controller = new AbortController();
    const results = await ResultFile.open();
    let finish = () => {};
    const held = new Promise<void>((resolve) => (finish = resolve));
    let begun = 0;
    const stop = startWorker(async (...cell) => {
      if (++begun === 2) await held; // is at work while nobody asks
      return answerCell(...cell);
    });
    const onCell = () => {
      controller.abort();
    };
    const stopped = distributeSamples(engine, {
      ...options,
      results,
      queue,
      onCell,
      signal: controller.signal,
    });
    await expect(stopped).rejects.toMatchObject({ code: "ABORTED" });
    const all = distributeSamples(engine, { ...options, results, queue });
    finish();
    const rows = await all;
    await stop();
    expect(lasting(rows)).toEqual(lasting(await runSamples(engine, options)));
  }, 60_000);

  it("names cells that fail, and does the rest", async () => {
    const results = await ResultFile.open();
    const stop = startWorker((own, cell, ways) =>
      cell.id === "facts at 0.5"
        ? Promise.reject(new Error("no luck"))
        : answerCell(own, cell, ways),
    );
    await expect(distributeSamples(engine, { ...options, results, queue })).rejects.toThrow(
      "2 of 12 cells failed, the rest is done; the first: no luck",
    );
    await stop();
    expect(results.rows).toHaveLength(2 * 10);
  }, 60_000);

  it("keeps two workers busy at once, each with half", async () => {
    let partner: (() => void) | undefined;
    /** Ends once two are here. */
    const inPairs = () =>
      new Promise<void>((resolve) => {
        partner?.();
        if (partner) resolve();
        partner = partner ? undefined : resolve;
      });
    const paired = (counts: string[]): typeof answerCell => {
      return async (_, cell, ways) => {
        await inPairs();
        counts.push(cell.id);
        return ways.map((way) => fakeRow(cell, way.method));
      };
    };
    const samples = needleSamples(engine.tokenizer, {
      haystack: "Rain fell. ".repeat(60),
      form: "number",
      repeats: 10,
      lengths: [300],
      depths: [0, 1],
    });
    const [one, other]: [string[], string[]] = [[], []];
    const stops = [one, other].map((counts) => startWorker(paired(counts), 30_000));
    const results = await ResultFile.open();
    await distributeSamples(engine, { ...options, samples, queue, results });
    for (const stop of stops) await stop();
    expect(results.rows).toHaveLength(20 * options.ways.length);
    expect(new Set([...one, ...other]).size).toBe(20);
    expect([one.length, other.length]).toEqual([10, 10]);
  }, 60_000);
});

it("says that an address is none, or that nobody answers", async () => {
  await expect(connect("localhost")).rejects.toMatchObject({ code: "USAGE" });
  await expect(connect("redis://127.0.0.1:9")).rejects.toMatchObject({ code: "NETWORK" });
});

const fakeRow = (cell: { task: string; id: string }, method: string): ResultRow => ({
  task: cell.task,
  version: 1,
  sample: cell.id,
  mode: "aware",
  method,
  options: {},
  kvType: "f16",
  model: "m",
  weights: "f",
  kernels: "k",
  prompt: cell.id,
  prompts: "own",
  score: 1,
  promptTokens: 1,
  output: "",
  answers: [],
  ms: { prefill: 1, decode: 1 },
  kv: { fullBytes: 1, bytes: 1, keptBytes: 1, peakBytes: 1, meanKept: 1 },
});

/** The command, in a process of its own. */
function spawnWorker(model: string, queue: string): ChildProcess {
  const main = new URL("../../../dist/cli/main.js", import.meta.url).pathname;
  expect(existsSync(main), "npm run build comes first").toBe(true);
  const args = [
    main,
    "eval",
    "worker",
    "--queue",
    queue,
    "--model",
    model,
    "--threads",
    "1",
    "--lease",
    "1",
  ];
  return spawn(process.execPath, args, { stdio: "ignore" });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => {
        resolve(port);
      });
    });
  });
}
