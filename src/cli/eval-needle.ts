import type { Command } from "commander";
import { requireInteger, requireOneOf } from "../errors.ts";
import { readHaystack } from "../eval/haystack.ts";
import { NEEDLE_FORMS } from "../eval/needle/forms.ts";
import { needleSamples } from "../eval/needle/samples.ts";
import { addRunOptions, runSuite, type RunFlags } from "./eval-run.ts";
import { shares, integer, integers } from "./options.ts";

type Flags = RunFlags & {
  readonly lengths: number[];
  readonly depths: number[];
  readonly needle: string;
  readonly repeats: number;
  readonly haystack?: string;
};

/** `pyramidkv eval needle`: Needle in a Haystack. */
export function needleCommand(command: Command): void {
  const forms = Object.entries(NEEDLE_FORMS).map(([name, f]) => `  ${name.padEnd(12)}${f.summary}`);
  addRunOptions(
    command.description("Needle in a Haystack: something hidden at several depths and lengths"),
  )
    .option("--lengths <n,...>", "prompt lengths in tokens", integers, [1000, 2000, 4000])
    .option("--depths <x,...>", "where the needle lies, 0 to 1", shares, [0, 0.25, 0.5, 0.75, 1])
    .option("--needle <form>", `what is hidden: ${Object.keys(NEEDLE_FORMS).join(", ")}`, "number")
    .option("--repeats <n>", "needles for each length and depth", integer, 1)
    .option("--haystack <path>", "a text file or a folder of them (default: the embedded text)")
    .addHelpText(
      "after",
      `
Needles:
${forms.join("\n")}

Example:
  pyramidkv eval needle --methods full,pyramidkv,snapkv --kv-sizes 512,1024 --haystack essays/`,
    )
    .action((flags: Flags) => needle(flags));
}

async function needle(flags: Flags): Promise<void> {
  const { lengths, depths, needle: form, repeats } = flags;
  requireOneOf("needle", form, Object.keys(NEEDLE_FORMS));
  requireInteger("repeats", repeats, 1);
  for (const length of lengths) requireInteger("length", length, 1);
  const haystack = await readHaystack(flags.haystack);
  await runSuite(flags, ({ tokenizer }) =>
    Promise.resolve({
      samples: needleSamples(tokenizer, { haystack, lengths, depths, form, repeats }),
    }),
  );
}
