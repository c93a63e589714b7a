import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { PyramidKVError } from "../errors.ts";
import { reportHtml } from "../eval/report/html.ts";
import { chartFile, reportMarkdown } from "../eval/report/markdown.ts";
import { readResults } from "../eval/run/result-file.ts";
import { note } from "./io.ts";

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
  const { makeReport } = await import("../eval/report/report.ts");
  const made = makeReport(rows);
  try {
    await mkdir(out, { recursive: true });
    await writeFile(join(out, "report.html"), reportHtml(made));
    await writeFile(join(out, "report.md"), reportMarkdown(made));
    for (const [i, { charts }] of made.sections.entries()) {
      for (const { name, svg } of charts) await writeFile(join(out, chartFile(i, name)), svg);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new PyramidKVError("BAD_FILE", `${out} cannot be written (${code})`, { cause: error });
  }
  note(`${rows.length} results in ${join(out, "report.html")} and ${join(out, "report.md")}`);
}
