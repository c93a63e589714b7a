import type { Command } from "commander";
import { scoredBy } from "../compression/describe.ts";
import type { Method } from "../compression/method.ts";
import { METHODS } from "../compression/methods.ts";
import { WRAPPERS, type Wrapper } from "../compression/wrappers.ts";
import { table } from "./format.ts";
import type { MethodsJson } from "./json.ts";
import { print, printJson, style } from "./terminal.ts";

/** `pyramidkv methods`: what there is to choose from. */
export function methodsCommand(command: Command): void {
  command
    .description("list the compression methods, and what can be put around them")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
Examples:
  pyramidkv methods
  pyramidkv generate --method "every:128(ada(snapkv))" --prompt-file notes.txt`,
    )
    .action(listMethods);
}

function listMethods({ json }: { readonly json?: boolean }): void {
  const methods = Object.values(METHODS).map((m: Method) => ({
    ...{ name: m.name, summary: m.summary, ranksBy: scoredBy(m), needs: m.needs },
    ...{ budget: m.budget.name, queryAware: m.queryAware, options: m.options },
    ...{ source: m.paper ?? null, deviations: m.deviations ?? [] },
  }));
  const wrappers = Object.entries(WRAPPERS).map(([name, w]: [string, Wrapper]) => ({
    ...{ name, summary: w.summary, argument: w.argument ?? null },
    ...{ source: w.paper ?? null, deviations: w.deviations ?? [] },
  }));
  if (json === true) {
    printJson<MethodsJson>({ methods, wrappers });
    return;
  }
  const rows = methods.map((m) => [
    style("bold", m.name),
    m.queryAware ? "yes" : "no",
    m.budget,
    m.summary,
  ]);
  print(`${table(["method", "query-aware", "budget", "what it does"], rows)}\n`);
  const around = wrappers.map((w) => [
    style("bold", w.argument === null ? `${w.name}(…)` : `${w.name}:N(…)`),
    w.summary,
    w.argument ?? "",
  ]);
  print(table(["around a method", "what it changes", "N"], around));
}
