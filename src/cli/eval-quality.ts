import { basename } from "node:path";
import type { Command } from "commander";
import { markdownTable } from "../page/markdown.ts";
import { METHODS } from "../compression/methods.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { KV_TYPES } from "../engine/session-options.ts";
import { PyramidKVError, requireInteger, requireOneOf } from "../errors.ts";
import { mean } from "../mean.ts";
import { readHaystack } from "../eval/haystack.ts";
import { TASKS, type Task } from "../eval/cases.ts";
import {
  MEASURED_ALPHAS,
  qualityRuns,
  runQuality,
  type AlphaTable,
  type QualityRow,
  type QualityRun,
} from "../eval/quality.ts";
import { MODES } from "../eval/run/mode.ts";
import { ResultFile } from "../eval/run/result-file.ts";
import { table } from "./format.ts";
import type { QualityJson } from "./json.ts";
import { print, printJson } from "./terminal.ts";
import {
  addModelOptions,
  integer,
  integers,
  names,
  readBudgets,
  shares,
  type ModelFlags,
} from "./options.ts";
import { runStudy } from "./study.ts";

type Flags = ModelFlags & {
  readonly methods: string[];
  readonly kvSizes: number[];
  readonly kvTypes: string[];
  readonly modes: string[];
  readonly texts?: string[];
  readonly documents: number;
  readonly lengths: number[];
  readonly depths: number[];
  readonly tokens: number;
  readonly alphaFor?: AlphaTable;
  readonly budgetFiles?: string[];
  readonly results?: string;
  readonly markdown?: boolean;
  readonly json?: boolean;
};

/** `pyramidkv eval quality`: how near methods stay to the full cache, and what they still find. */
export function qualityCommand(command: Command): void {
  addModelOptions(command.description("divergence from the full cache, and needles, by method"))
    .option("--methods <name,...>", "methods to compare", names, Object.keys(METHODS))
    .option("--kv-sizes <n,...>", "tokens kept per layer", integers, [64, 128, 256, 512, 1024])
    .option(
      "--kv-types <type,...>",
      `cache types to compare at equal bytes: ${Object.keys(KV_TYPES).join(", ")}`,
      names,
      ["f16"],
    )
    .option("--modes <name,...>", `when the question is seen: ${MODES.join(", ")}`, names, [
      ...MODES,
    ])
    .option("--texts <path,...>", "files or folders of texts (default: the embedded text)", names)
    .option("--documents <n>", "documents of 3,000 to 4,000 tokens", integer, 8)
    .option("--lengths <n,...>", "prompt lengths of the needles", integers, [1000, 2000, 4000])
    .option("--depths <x,...>", "where the needles lie, 0 to 1", shares, [0.1, 0.3, 0.5, 0.7, 0.9])
    .option("--tokens <n>", "tokens forced after each document", integer, 64)
    .option(
      "--alpha-for <task=n,...>",
      `observation window by task (${TASKS.join(", ")}), or auto: what was measured to serve each`,
      alphaTable,
    )
    .option(
      "--budget-files <path,...>",
      "lists of tokens per layer, as analyze writes them: snapkv with each is compared too",
      names,
    )
    .option("--results <path>", "adds each result to this file; what is in it is not done again")
    .option("--markdown", "print the table as Markdown")
    .option("--json", "print one JSON object with every document and needle")
    .addHelpText(
      "after",
      `
KL is the mean divergence of the next token's probabilities from the full cache's, in nats, over the full
cache's own answer; top-1 the share of tokens where both have the same favourite; needle how many hidden
numbers are found. Aware: the question is in the prompt when it is compressed. Agnostic: it comes after.
Sizes count tokens of f16: other cache types keep as many as fill the same bytes.

Example:
  pyramidkv eval quality --methods snapkv,funnel --kv-sizes 128,512 --texts essays/`,
    )
    .action((flags: Flags) => qualityEval(flags));
}

async function qualityEval(flags: Flags): Promise<void> {
  const modes = flags.modes.map((mode) => requireOneOf("mode", mode, MODES));
  requireInteger("documents", flags.documents, 0);
  requireInteger("tokens", flags.tokens, 1);
  for (const kvType of flags.kvTypes) requireOneOf("KV type", kvType, Object.keys(KV_TYPES));
  // What is wrong with a method is said before anything is loaded.
  for (const method of flags.methods) {
    for (const kvSize of flags.kvSizes) resolveCompression({ method, kvSize });
  }
  const listed = await Promise.all((flags.budgetFiles ?? []).map(listedRun));
  requireDistinct(listed);
  const results = await ResultFile.open(flags.results);
  const texts = await Promise.all((flags.texts ?? [undefined]).map(readHaystack));
  const { documents, lengths, depths, alphaFor } = flags;
  const { model, result: rows } = await runStudy(flags, "quality", (engine, control) => {
    const runs = [...qualityRuns(flags, engine.model), ...listed];
    const what = {
      runs,
      modes,
      texts,
      steps: flags.tokens,
      documents,
      lengths,
      depths,
      alphaFor,
      results,
    };
    return runQuality(engine, { ...what, ...control });
  });
  if (flags.json === true) {
    printJson<QualityJson>({ model, rows });
    return;
  }
  const draw = flags.markdown === true ? markdownTable : table;
  const columns = rows.flatMap(({ run }) => run.size ?? []);
  const sizes = [...new Set([...flags.kvSizes, ...columns])].sort((a, b) => a - b);
  for (const mode of modes) {
    const modeRows = rows.filter((row) => row.mode === mode);
    const title = mode === "aware" ? "question in the prompt" : "question after compression";
    print(`\n${title}:\n\n${draw(...qualityTable(modeRows, sizes))}`);
  }
}

/** A file's budgets as a line of the table; the files of several sizes of one text are one line. */
async function listedRun(path: string): Promise<QualityRun> {
  const budgets = await readBudgets(path);
  if (!Array.isArray(budgets)) {
    throw new PyramidKVError("BAD_FILE", `${path} holds scores of heads, not a list of budgets`);
  }
  const options = { method: "snapkv", budgets };
  const { kvSize } = resolveCompression(options).options;
  return { name: `snapkv, ${basename(path).replace(/(-\d+)?\.json$/, "")}`, size: kvSize, options };
}

/** `summary=64,needle=8`, or `auto`. */
function alphaTable(text: string): AlphaTable {
  if (text === "auto") return MEASURED_ALPHAS;
  const entries = text.split(",").map((part): [Task, number] => {
    const [task = "", n = ""] = part.split("=");
    return [requireOneOf("task", task.trim(), TASKS), integer(n)];
  });
  return Object.fromEntries(entries);
}

/** Two files of one name and size would be one cell of the table. */
function requireDistinct(runs: readonly QualityRun[]): void {
  const keys = runs.map(({ name, size }) => `${name} of ${size} tokens`);
  const twice = keys.find((key, i) => keys.indexOf(key) < i);
  if (twice === undefined) return;
  throw new PyramidKVError("USAGE", `two budget files would be "${twice}"; rename one`);
}

/** One line a method, KL, top-1 and needles at each size. */
function qualityTable(
  rows: readonly QualityRow[],
  sizes: readonly number[],
): [head: string[], lines: string[][]] {
  const head = [
    "method",
    ...["KL", "top-1", "needle"].flatMap((x) => sizes.map((n) => `${x} ${n}`)),
  ];
  const lines = [...new Set(rows.map(({ run }) => run.name))].map((name) => {
    const runRows = rows.filter(({ run }) => run.name === name);
    const at = (size: number) => runRows.find(({ run }) => (run.size ?? size) === size);
    const cells = (show: (row: QualityRow) => string) =>
      sizes.map((size) => {
        const row = at(size);
        return row === undefined ? "" : show(row);
      });
    return [
      name,
      ...cells(({ kl }) => mean(kl).toFixed(3)),
      ...cells(({ top1 }) => mean(top1).toFixed(2)),
      ...cells(({ needles }) => `${needles.filter(Boolean).length}/${needles.length}`),
    ];
  });
  return [head, lines];
}
