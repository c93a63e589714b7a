import type { Command } from "commander";
import { requireInteger, requireOneOf } from "../errors.ts";
import { DATASETS } from "../eval/longbench/datasets.ts";
import { OWN_PROMPTS, readPrompts } from "../eval/longbench/prompts.ts";
import { longBenchSamples } from "../eval/longbench/samples.ts";
import { datasetFolder } from "../hub/dataset.ts";
import { addRunOptions, runSuite, type RunFlags } from "./eval-run.ts";
import { fetching } from "./fetching.ts";
import { integer, names } from "./options.ts";

type Flags = RunFlags & {
  readonly datasets: string[];
  readonly dataDir?: string;
  readonly prompts?: string;
  readonly limit: number;
  readonly maxPrompt?: number;
};

/** The archive that LongBench's authors publish. */
const LONGBENCH = { repo: "THUDM/LongBench", path: "data.zip" };

/** `pyramidkv eval longbench`: the 21 datasets of LongBench v1. */
export function longBenchCommand(command: Command): void {
  const datasets = Object.keys(DATASETS);
  addRunOptions(command.description("LongBench v1: 21 datasets, English, Chinese and code"))
    .option(
      "--data-dir <path>",
      "a folder of LongBench's files, <name>.jsonl (default: from the hub)",
    )
    .option("--datasets <name,...>", "datasets to run", names, datasets)
    .option("--prompts <path>", "the published templates, dataset2prompt.json (default: our own)")
    .option("--limit <n>", "examples of each dataset", integer, 200)
    .option("--max-prompt <n>", "tokens of a prompt, of which the middle is cut", integer)
    .addHelpText(
      "after",
      `
Metrics, lengths and truncation are as published; prompts are only with --prompts.

Datasets:
  ${datasets.join(", ")}

Example:
  pyramidkv eval longbench --data-dir LongBench/ --datasets qasper,gov_report --limit 20 --results results.jsonl`,
    )
    .action((flags: Flags) => longBench(flags));
}

async function longBench(flags: Flags): Promise<void> {
  const { datasets, limit, maxPrompt } = flags;
  for (const name of datasets) requireOneOf("dataset", name, Object.keys(DATASETS));
  requireInteger("limit", limit, 1);
  if (maxPrompt !== undefined) requireInteger("max-prompt", maxPrompt, 64);
  const prompts = flags.prompts === undefined ? OWN_PROMPTS : await readPrompts(flags.prompts);
  const folder = flags.dataDir ?? (await fetchLongBench(datasets));
  await runSuite(flags, ({ tokenizer, model: { nCtx } }) =>
    longBenchSamples({ datasets, folder, prompts, limit, maxPrompt, nCtx, tokenizer }),
  );
}

/** The files of datasets from the hub, kept in the cache. */
function fetchLongBench(datasets: readonly string[]): Promise<string> {
  const files = datasets.map((name) => [`${name}.jsonl`, `data/${name}.jsonl`] as const);
  return fetching("LongBench", (options) =>
    datasetFolder(LONGBENCH, Object.fromEntries(files), options),
  );
}
