import type { Command } from "commander";
import { longCommand } from "./eval-long.ts";
import { longBenchCommand } from "./eval-longbench.ts";
import { longBenchV2Command } from "./eval-longbench-v2.ts";
import { needleCommand } from "./eval-needle.ts";
import { pairCommand } from "./eval-pair.ts";
import { qualityCommand } from "./eval-quality.ts";
import { questionsCommand } from "./eval-questions.ts";
import { rulerCommand } from "./eval-ruler.ts";
import { scoreCommand } from "./eval-score.ts";
import { workerCommand } from "./eval-worker.ts";

/** `pyramidkv eval`: tasks, how near methods stay to the full cache, and the scores of predictions. */
export function evalCommand(command: Command): void {
  command.description("evaluate methods on tasks").addHelpText(
    "after",
    `
Examples:
  pyramidkv eval needle --methods full,pyramidkv,snapkv --kv-sizes 512,1024 --haystack essays/
  pyramidkv eval longbench --data-dir LongBench/ --datasets qasper --limit 20`,
  );
  longCommand(command.command("long"));
  longBenchCommand(command.command("longbench"));
  longBenchV2Command(command.command("longbench-v2"));
  needleCommand(command.command("needle"));
  qualityCommand(command.command("quality"));
  pairCommand(command.command("pair"));
  questionsCommand(command.command("questions"));
  rulerCommand(command.command("ruler"));
  scoreCommand(command.command("score"));
  workerCommand(command.command("worker"));
}
