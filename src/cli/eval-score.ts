import type { Command } from "commander";
import { readPredictions } from "../eval/predictions.ts";
import { meansByLength, meanScore, scoreOf } from "../eval/run/score.ts";
import { SCORED_TASKS, scoredTask } from "../eval/scored-tasks.ts";
import { table } from "./format.ts";
import { print, printJson } from "./terminal.ts";

interface Flags {
  readonly task: string;
  readonly predictions: string;
  readonly json?: boolean;
}

/** `pyramidkv eval score`: scores predictions made elsewhere. */
export function scoreCommand(command: Command): void {
  command
    .description("score predictions that were made elsewhere")
    .requiredOption("--task <name>", "what they are predictions for, such as longbench/qasper")
    .requiredOption("--predictions <path>", "a JSON object a line: prediction, answers, …")
    .option("--json", "print one JSON object with every score")
    .addHelpText(
      "after",
      `
Each line is {"prediction": "…", "answers": ["…"], "allClasses": ["…"], "length": 3000}; the last two are
needed where classes are chosen from, and for means by length.

Tasks:
  ${Object.keys(SCORED_TASKS).join(", ")}

Example:
  pyramidkv eval score --task longbench/qasper --predictions qasper.jsonl`,
    )
    .action((flags: Flags) => score(flags));
}

async function score(flags: Flags): Promise<void> {
  const task = scoredTask(flags.task);
  const lines = await readPredictions(flags.predictions);
  const scores = lines.map((line) => scoreOf(task, line.prediction, line));
  const mean = meanScore(scores);
  const lengths = lines.flatMap(({ length }) => length ?? []);
  const byLength = lengths.length === lines.length ? meansByLength(scores, lengths) : undefined;
  if (flags.json === true) {
    printJson({ scores, mean, ...(byLength && { byLength }) });
    return;
  }
  const means = [["all", mean], ...Object.entries(byLength ?? {})] as [
    string,
    number | undefined,
  ][];
  const rows = means.map(([name, value]) => [name, value === undefined ? "" : value.toFixed(2)]);
  print(`${table([flags.task, `mean of ${scores.length}`], rows)}`);
}
