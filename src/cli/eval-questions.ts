import type { Command } from "commander";
import { requireInteger } from "../errors.ts";
import { readHaystack } from "../eval/haystack.ts";
import { severalQuestions } from "../eval/needle/several.ts";
import { addRunOptions, runSuite, type RunFlags } from "./eval-run.ts";
import { integer, integers } from "./options.ts";

type Flags = RunFlags & {
  readonly lengths: number[];
  readonly texts: number;
  readonly questions: number;
  readonly seed: number;
  readonly haystack?: string;
};

/** `pyramidkv eval questions`: many questions on one text. */
export function questionsCommand(command: Command): void {
  addRunOptions(command.description("many questions on one text, each asked for by itself"))
    .option("--lengths <n,...>", "prompt lengths in tokens", integers, [4000])
    .option("--texts <n>", "texts of each length", integer, 2)
    .option("--questions <n>", "facts in a text", integer, 10)
    .option("--seed <n>", "the same seed makes the same facts", integer, 42)
    .option("--haystack <path>", "a text file or a folder of them (default: the embedded text)")
    .addHelpText(
      "after",
      `
With --modes agnostic a text is compressed before it is known which fact is asked for: one compression, many
questions. With aware, each question is in the prompt that is compressed for it.

Example:
  pyramidkv eval questions --modes aware,agnostic --methods full,snapkv,kvzip,funnel --kv-sizes 256,512`,
    )
    .action((flags: Flags) => questions(flags));
}

async function questions(flags: Flags): Promise<void> {
  const { lengths, texts, questions: count, seed } = flags;
  for (const length of lengths) requireInteger("length", length, 1);
  requireInteger("texts", texts, 1);
  requireInteger("questions", count, 1);
  const haystack = await readHaystack(flags.haystack);
  await runSuite(flags, ({ tokenizer }) =>
    Promise.resolve({
      samples: severalQuestions(tokenizer, { haystack, lengths, texts, questions: count, seed }),
    }),
  );
}
