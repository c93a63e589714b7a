import type { Command } from "commander";
import { requireInteger } from "../errors.ts";
import { version2Samples } from "../eval/longbench/version2.ts";
import { datasetFile } from "../hub/dataset.ts";
import { addRunOptions, runSuite, type RunFlags } from "./eval-run.ts";
import { fetching } from "./fetching.ts";
import { integer } from "./options.ts";

type Flags = RunFlags & {
  readonly data?: string;
  readonly limit: number;
  readonly maxPrompt?: number;
};

/** The dataset as its authors publish it. */
const LONGBENCH_V2 = { repo: "THUDM/LongBench-v2", path: "data.json" };

/** `pyramidkv eval longbench-v2`: choices of four on long contexts. */
export function longBenchV2Command(command: Command): void {
  addRunOptions(command.description("LongBench v2: choices of four on long contexts"))
    .option("--data <path>", "its data.json, or JSON lines (default: from the hub)")
    .option("--limit <n>", "examples", integer, 503)
    .option("--max-prompt <n>", "tokens of a prompt, of which the middle is cut", integer)
    .addHelpText(
      "after",
      `
Example:
  pyramidkv eval longbench-v2 --data data.json --limit 20 --results v2.jsonl`,
    )
    .action((flags: Flags) => longBenchV2(flags));
}

async function longBenchV2(flags: Flags): Promise<void> {
  const { limit, maxPrompt } = flags;
  requireInteger("limit", limit, 1);
  if (maxPrompt !== undefined) requireInteger("max-prompt", maxPrompt, 64);
  const path =
    flags.data ?? (await fetching("LongBench v2", (options) => datasetFile(LONGBENCH_V2, options)));
  await runSuite(flags, ({ tokenizer, model: { nCtx } }) =>
    version2Samples({ path, limit, maxPrompt, nCtx, tokenizer }),
  );
}
