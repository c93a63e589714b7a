import type { Command } from "commander";
import { markdownTable } from "../page/markdown.ts";
import { sessionCompression } from "../engine/session-options.ts";
import { KV_TYPES } from "../engine/session-options.ts";
import type { Engine } from "../engine/engine.ts";
import { PyramidKVError, requireInteger, requireOneOf } from "../errors.ts";
import { MODES } from "../eval/run/mode.ts";
import { ResultFile } from "../eval/run/result-file.ts";
import type { ResultRow } from "../eval/run/result-row.ts";
import { runSamples, type RunOptions, type Way } from "../eval/run/run.ts";
import type { Sample } from "../eval/run/sample.ts";
import { resultSections } from "../eval/report/sections.ts";
import { summarise } from "../eval/run/summary.ts";
import { loadPart } from "../optional.ts";
import { Interrupt } from "./interrupt.ts";
import { table } from "./format.ts";
import { progressBar } from "./progress.ts";
import type { EvalJson } from "./json.ts";
import { note, print, printJson, style } from "./terminal.ts";
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
  // Loaded only where it is used: every command would wait for it.
  const queueing = flags.queue === undefined ? undefined : await openQueue(flags.queue);
  using interrupt = new Interrupt();
  await using engine = await loadEngine(flags, interrupt.signal);
  const made = await make(engine);
  const problems: string[] = [];
  const onProblem = (problem: string) => {
    problems.push(problem);
    note(style("yellow", `left out: ${problem}`));
  };
  for (const problem of made.problems ?? []) onProblem(problem);
  const bar = progressBar("eval", "count");
  let rows: readonly ResultRow[];
  try {
    const options: RunOptions = {
      samples: made.samples,
      ways,
      modes,
      results,
      signal: interrupt.signal,
      onProblem,
      ...(shard && { shard }),
      onCell: (done, total) => bar.update(done, total),
    };
    rows = await (queueing === undefined
      ? runSamples(engine, options)
      : queueing.distribute(engine, options));
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
  if (rows.length === 0) {
    throw new PyramidKVError("USAGE", `nothing could be answered; ${problems[0] ?? "no samples"}`);
  }
  printRows(rows, flags, problems);
}

/** A queue that answers. */
async function openQueue(queue: string) {
  const [{ connect }, { distributeSamples }] = await loadPart("queue", () =>
    Promise.all([import("../eval/queue/cell-queue.ts"), import("../eval/queue/distribute.ts")]),
  );
  (await connect(queue)).disconnect();
  const distribute = (engine: Engine, options: RunOptions) =>
    distributeSamples(engine, { ...options, queue });
  return { distribute };
}

function waysOf({ methods, kvSizes, kvType, alpha }: RunFlags): Way[] {
  if (kvType !== undefined) requireOneOf("KV type", kvType, Object.keys(KV_TYPES));
  const ways = methods.flatMap((method): Way[] => {
    const sizes = method === "full" ? [undefined] : kvSizes;
    return sizes.map((kvSize) => definedOnly({ method, kvSize, kvType, alpha }) as Way);
  });
  for (const way of ways) sessionCompression(way);
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

function printRows(rows: readonly ResultRow[], flags: RunFlags, problems: readonly string[]): void {
  if (flags.json === true) {
    const lines = summarise(rows).map(({ rows: _, ...line }) => line);
    printJson<EvalJson>({ problems, lines, rows });
    return;
  }
  const draw = flags.markdown === true ? markdownTable : table;
  for (const { title, notes, tables } of resultSections(rows)) {
    print(`\n${[title, ...notes].join("\n")}`);
    for (const { title: name, head, rows: lines } of tables) {
      print(`\n${name}:\n\n${draw(head, lines)}`);
    }
  }
}
