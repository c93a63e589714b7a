import type { Command } from "commander";
import { requireInteger } from "../errors.ts";
import { calibrate } from "../eval/calibrate.ts";
import { readHaystack } from "../eval/haystack.ts";
import { saveProfile } from "../engine/profiles.ts";
import { table } from "./format.ts";
import { note, print, printJson } from "./terminal.ts";
import { addModelOptions, integer, names, type ModelFlags } from "./options.ts";
import { runStudy } from "./study.ts";

type Flags = ModelFlags & {
  readonly texts?: string[];
  readonly documents: number;
  readonly needles: number;
  readonly output?: string;
  readonly json?: boolean;
};

/** `pyramidkv calibrate`: what each kv head of a model is worth, for the method funnel. */
export function calibrateCommand(command: Command): void {
  addModelOptions(
    command.description("measure what each kv head of a model is worth, for the method funnel"),
  )
    .option("--texts <path,...>", "files or folders of texts (default: the embedded text)", names)
    .option("--documents <n>", "documents that divergence is measured on", integer, 2)
    .option("--needles <n>", "hidden numbers that are asked for", integer, 4)
    .option("-o, --output <path>", "where to write the profile (default: where funnel finds it)")
    .option("--json", "print the profile instead of a table")
    .addHelpText(
      "after",
      `
Each kv head in turn keeps next to nothing while all others keep 512 tokens; what that costs decides its
share of the budget. Some minutes for a small model; the profile serves every quantization of it.

Examples:
  pyramidkv calibrate
  pyramidkv calibrate --model owner/repo:Q4_K_M --texts essays/ --documents 3 --needles 5`,
    )
    .action((flags: Flags) => runCalibrate(flags));
}

async function runCalibrate(flags: Flags): Promise<void> {
  requireInteger("documents", flags.documents, 1);
  requireInteger("needles", flags.needles, 1);
  const texts = await Promise.all((flags.texts ?? [undefined]).map(readHaystack));
  const { documents, needles } = flags;
  const { result: profile } = await runStudy(flags, "calibrate", (engine, control) =>
    calibrate(engine, { texts, documents, needles, ...control }),
  );
  const path = await saveProfile(profile, flags.output);
  if (flags.json === true) {
    printJson(profile);
    return;
  }
  const heads = profile.weights
    .flatMap((row, il) => row.map((weight, h) => ({ il, h, weight })))
    .sort((a, b) => b.weight - a.weight);
  const rows = heads.slice(0, 10).map(({ il, h, weight }) => {
    return [String(il), String(h), `${(100 * weight).toFixed(1)} %`];
  });
  print(table(["layer", "kv head", "share of the budget"], rows));
  note(`${heads.length - rows.length} more heads; the profile is in ${path}`);
}
