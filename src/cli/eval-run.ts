import type { Command } from "commander";
import { resolveCompression } from "../compression/resolve.ts";
import { KV_TYPES } from "../engine/choices.ts";
import type { Engine } from "../engine/engine.ts";
import { PyramidKVError, requireInteger, requireOneOf } from "../errors.ts";
import { distributeSamples } from "../eval/queue/distribute.ts";
import { MODES, type QualityMode } from "../eval/quality.ts";
import { ResultFile } from "../eval/run/result-file.ts";
import type { ResultRow } from "../eval/run/result-row.ts";
import { runSamples, type RunOptions, type Way } from "../eval/run/run.ts";
import type { Sample } from "../eval/run/sample.ts";
import { promptLengths, summarise, type WaySummary } from "../eval/run/summary.ts";
import { Interrupt } from "./interrupt.ts";
import { formatBytes, markdownTable, note, progressBar, style, table } from "./io.ts";
import { loadEngine } from "./load-engine.ts";
import {
  addModelOptions,
  definedOnly,
  integer,
  integers,
  names,
  type ModelFlags,
} from "./options.ts";

/** The flags of every suite that answers samples. */
export type RunFlags = ModelFlags & {
  readonly methods: string[];
  readonly kvSizes: number[];
  readonly kvType?: string;
  readonly alpha?: number;
  readonly modes: string[];
  readonly results?: string;
  readonly shard?: string;
  readonly queue?: string;
  readonly markdown?: boolean;
  readonly json?: boolean;
};

const METHODS = ["full", "pyramidkv", "snapkv", "h2o", "streaming-llm", "funnel"];

export function addRunOptions(command: Command): Command {
  return addModelOptions(command)
    .option("--methods <name,...>", "methods to compare", names, METHODS)
    .option("--kv-sizes <n,...>", "tokens kept per layer", integers, [64, 128, 256, 512])
    .option("--kv-type <type>", `cache type: ${Object.keys(KV_TYPES).join(", ")}`)
    .option("--alpha <n>", "observation window: last prompt tokens that score the others", integer)
    .option("--modes <name,...>", `when the question is seen: ${MODES.join(", ")}`, names, [
      "aware",
    ])
    .option("--results <path>", "adds each answer to this file; what is in it is not done again")
    .option("--shard <i/n>", "only the i-th of n parts of the work, counted from 1")
    .option("--queue <url>", "let workers answer (eval worker): the Redis or Valkey server between")
    .option("--markdown", "print the table as Markdown")
    .option("--json", "print one JSON object with every answer");
}

/** What a suite asks, once the engine is there. */
export type MakeSamples = (
  engine: Engine,
) => Promise<{ samples: readonly Sample[]; problems?: readonly string[] }>;

/** Runs a suite's samples in all ways and prints the results. */
export async function runSuite(flags: RunFlags, make: MakeSamples): Promise<void> {
  const modes = flags.modes.map((mode) => requireOneOf("mode", mode, MODES));
  const ways = waysOf(flags);
  const shard = flags.shard === undefined ? undefined : parseShard(flags.shard);
  // What is wrong with the file is said before anything is loaded.
  const results = await ResultFile.open(flags.results);
  using interrupt = new Interrupt();
  await using engine = await loadEngine(flags, interrupt.signal);
  const { samples, problems = [] } = await make(engine);
  for (const problem of problems) note(style("yellow", `left out: ${problem}`));
  const bar = progressBar("eval", "count");
  let rows: readonly ResultRow[];
  try {
    const options: RunOptions = {
      ...{ samples, ways, modes, results, signal: interrupt.signal },
      ...(shard && { shard }),
      onCell: (done, total) => bar.update(done, total),
    };
    const { queue } = flags;
    rows =
      queue === undefined
        ? await runSamples(engine, options)
        : await distributeSamples(engine, { ...options, queue });
  } catch (error) {
    const isStop = error instanceof PyramidKVError && error.code === "ABORTED";
    if (!isStop || flags.results === undefined) throw error;
    bar.stop();
    note(
      `stopped; ${results.rows.length} answers are in ${flags.results}, and the same command goes on`,
    );
    throw error;
  } finally {
    bar.stop();
  }
  print(rows, flags, problems);
}

function waysOf({ methods, kvSizes, kvType, alpha }: RunFlags): Way[] {
  if (kvType !== undefined) requireOneOf("KV type", kvType, Object.keys(KV_TYPES));
  const ways = methods.flatMap((method): Way[] => {
    const sizes = method === "full" ? [undefined] : kvSizes;
    return sizes.map((kvSize) => definedOnly({ method, kvSize, kvType, alpha }) as Way);
  });
  for (const way of ways) resolveCompression(way);
  return ways;
}

/** `2/4`: the second of four, counted from 0. */
function parseShard(text: string): readonly [number, number] {
  const [, i, n] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  if (i === undefined || n === undefined) {
    throw new PyramidKVError("USAGE", `--shard takes a part such as 2/4, not "${text}"`);
  }
  const parts = requireInteger("shard's parts", Number(n), 1);
  return [requireInteger("shard", Number(i), 1, parts) - 1, parts];
}

function print(rows: readonly ResultRow[], flags: RunFlags, problems: readonly string[]): void {
  const lines = summarise(rows);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ problems, lines, rows })}\n`);
    return;
  }
  const draw = flags.markdown === true ? markdownTable : table;
  for (const mode of new Set(lines.map((line) => line.mode))) {
    process.stdout.write(`\n${titleOf(mode)}, ${promptsOf(rows)}:\n\n`);
    const own = lines.filter((line) => line.mode === mode);
    process.stdout.write(`${draw(...scoreTable(own))}\n`);
  }
  const lengths = promptLengths(rows);
  process.stdout.write(`\nprompt tokens, and what a KV size is of them:\n\n`);
  process.stdout.write(`${draw(...rateTable(lengths, lines))}\n`);
}

function titleOf(mode: QualityMode): string {
  return mode === "aware"
    ? "Question in the prompt when it is compressed"
    : "Question after compression";
}

function promptsOf(rows: readonly ResultRow[]): string {
  const all = [...new Set(rows.map(({ prompts }) => prompts))];
  return `prompts: ${all.map((name) => (name === "own" ? "in our own words" : name)).join(", ")}`;
}

const shortTask = (task: string) => task.split("/").slice(1).join("/") || task;

/** One line a method and size: mean score of each task in percent. */
function scoreTable(lines: readonly WaySummary[]): [head: string[], lines: string[][]] {
  const tasks = [...new Set(lines.flatMap(({ cells }) => cells.map(({ task }) => task)))];
  const body = lines.map((line) => [
    line.method + (line.kvType === "f16" ? "" : `, ${line.kvType}`),
    line.kvSize === undefined ? "all" : String(line.kvSize),
    ...tasks.map((task) => line.cells.find((c) => c.task === task)?.score.toFixed(2) ?? ""),
    ...(tasks.length > 1 ? [line.average.toFixed(2)] : []),
    formatBytes(Math.round(line.kvBytes)),
  ]);
  const average = tasks.length > 1 ? ["average"] : [];
  return [["method", "kept", ...tasks.map(shortTask), ...average, "KV"], body];
}

/** Compression rates: KV size over mean prompt length; from 1 on nothing is dropped. */
function rateTable(
  lengths: ReadonlyMap<string, number>,
  lines: readonly WaySummary[],
): [head: string[], lines: string[][]] {
  const sizes = [...new Set(lines.flatMap(({ kvSize }) => kvSize ?? []))].sort((a, b) => a - b);
  const body = [...lengths].map(([task, mean]) => [
    shortTask(task),
    mean.toFixed(0),
    ...sizes.map((size) => `${((100 * size) / mean).toFixed(1)}%`),
  ]);
  return [["task", "mean tokens", ...sizes.map(String)], body];
}
