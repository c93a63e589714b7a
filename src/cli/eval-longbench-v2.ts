import type { Command } from "commander";
import { requireInteger } from "../errors.ts";
import { version2Samples } from "../eval/longbench/version2.ts";
import { addRunOptions, runSuite, type RunFlags } from "./eval-run.ts";
import { integer } from "./options.ts";

type Flags = RunFlags & {
  readonly data: string;
  readonly limit: number;
  readonly maxPrompt?: number;
};

/** `pyramidkv eval longbench-v2`: choices of four on long contexts. */
export function longBenchV2Command(command: Command): void {
  addRunOptions(command.description("LongBench v2: choices of four on long contexts"))
    .requiredOption("--data <path>", "its data.json (THUDM/LongBench-v2 on the hub), or JSON lines")
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
  const { data: path, limit, maxPrompt } = flags;
  requireInteger("limit", limit, 1);
  if (maxPrompt !== undefined) requireInteger("max-prompt", maxPrompt, 64);
  await runSuite(flags, ({ tokenizer, model: { nCtx } }) =>
    version2Samples({ path, limit, maxPrompt, nCtx, tokenizer }),
  );
}
