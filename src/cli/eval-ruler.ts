import type { Command } from "commander";
import { PyramidKVError, requireInteger, requireOneOf } from "../errors.ts";
import { readHaystack } from "../eval/haystack.ts";
import { OWN_RULER_PROMPTS, readRulerPrompts } from "../eval/ruler/prompts.ts";
import { readQuestions } from "../eval/ruler/questions.ts";
import { rulerSamples } from "../eval/ruler/samples.ts";
import { RULER_TASKS } from "../eval/ruler/tasks.ts";
import { addRunOptions, runSuite, type RunFlags } from "./eval-run.ts";
import { integer, integers, names } from "./options.ts";

type Flags = RunFlags & {
  readonly tasks: string[];
  readonly lengths: number[];
  readonly count: number;
  readonly seed: number;
  readonly haystack?: string;
  readonly prompts?: string;
  readonly questions?: string;
};

const TASKS = Object.keys(RULER_TASKS);
const GENERATED = TASKS.filter((name) => RULER_TASKS[name]?.generator !== undefined);

/** `pyramidkv eval ruler`: RULER's tasks, made for any length. */
export function rulerCommand(command: Command): void {
  addRunOptions(command.description("RULER: needles, variables and word counts of any length"))
    .option(
      "--tasks <name,...>",
      `tasks to run (default: the ${GENERATED.length} that are generated)`,
      names,
      GENERATED,
    )
    .option("--lengths <n,...>", "tokens of prompt and answer together", integers, [4096])
    .option("--count <n>", "samples of each task and length", integer, 10)
    .option("--seed <n>", "the same seed makes the same samples", integer, 42)
    .option("--haystack <path>", "the text that needles lie in (default: the embedded text)")
    .option("--prompts <path>", "the published wording, a JSON file (default: our own)")
    .option("--questions <path>", "for qa_1 and qa_2: lines of { question, answers, document }")
    .addHelpText(
      "after",
      `
Tasks:
  ${TASKS.join(", ")}

Example:
  pyramidkv eval ruler --tasks niah_multikey_1,vt --lengths 4096 --count 20 --results ruler.jsonl`,
    )
    .action((flags: Flags) => ruler(flags));
}

async function ruler(flags: Flags): Promise<void> {
  const { tasks, lengths, count, seed } = flags;
  for (const name of tasks) requireOneOf("task", name, TASKS);
  for (const length of lengths) requireInteger("length", length, 256);
  requireInteger("count", count, 1);
  const asking = tasks.filter((name) => !GENERATED.includes(name));
  if (asking.length > 0 && flags.questions === undefined) {
    throw new PyramidKVError("USAGE", `${asking.join(" and ")} needs --questions, a file of them`);
  }
  const list = flags.questions === undefined ? [] : await readQuestions(flags.questions);
  const questions = Object.fromEntries(asking.map((name) => [name, list]));
  const prompts =
    flags.prompts === undefined ? OWN_RULER_PROMPTS : await readRulerPrompts(flags.prompts);
  const haystack = await readHaystack(flags.haystack);
  await runSuite(flags, ({ tokenizer }) =>
    Promise.resolve({
      samples: rulerSamples(tokenizer, {
        tasks,
        lengths,
        count,
        seed,
        haystack,
        prompts,
        questions,
      }),
    }),
  );
}
