import { join } from "node:path";
import type { Command } from "commander";
import { PyramidKVError } from "../errors.ts";
import { readResults } from "../eval/run/result-file.ts";
import { writePage } from "../page/write.ts";
import { loadPart } from "../optional.ts";
import { madeNow } from "./made.ts";
import { note } from "./terminal.ts";

/** `pyramidkv report`: results as one page, a Markdown file and pictures. */
export function reportCommand(command: Command): void {
  command
    .description("draw tables and pictures of evaluation results")
    .argument("<results...>", "files that eval wrote with --results")
    .option("-o, --out <folder>", "where report.html, report.md and the pictures go", "report")
    .addHelpText(
      "after",
      `
Examples:
  pyramidkv eval needle --results needle.jsonl
  pyramidkv report needle.jsonl --out needle-report`,
    )
    .action((paths: string[], flags: { out: string }) => report(paths, flags.out));
}

async function report(paths: readonly string[], out: string): Promise<void> {
  const rows = (await Promise.all(paths.map(readResults))).flat();
  if (rows.length === 0) {
    throw new PyramidKVError("BAD_FILE", `${paths.join(", ")}: no results of pyramidkv eval`);
  }
  // Loaded only here: every command would wait for it.
  const { makeReport } = await loadPart("pages", () => import("../eval/report/report.ts"));
  await writePage(out, "report", { ...makeReport(rows), made: madeNow() });
  note(`${rows.length} results in ${join(out, "report.html")} and ${join(out, "report.md")}`);
}
