import type { Command } from "commander";
import { scoredBy } from "../compression/describe.ts";
import type { ListedMethod, Standing } from "../compression/method.ts";
import { METHODS } from "../compression/methods.ts";
import type { Wrapper } from "../compression/wrapper.ts";
import { WRAPPERS } from "../compression/wrappers.ts";
import { table } from "./format.ts";
import type { MethodsJson } from "./json.ts";
import { print, printJson, style } from "./terminal.ts";

/** `pyramidkv methods`: what there is to choose from. */
export function methodsCommand(command: Command): void {
  command
    .description("list the compression methods, and what can be put around them")
    .option("--all", "show those for comparisons and experiments, too")
    .option("--json", "print one JSON object, with all of them")
    .addHelpText(
      "after",
      `
Examples:
  pyramidkv methods
  pyramidkv methods --all
  pyramidkv generate --method "every:128(ada(snapkv))" --prompt-file notes.txt`,
    )
    .action(listMethods);
}

function listMethods({ json, all }: { readonly json?: boolean; readonly all?: boolean }): void {
  const methods = Object.values(METHODS).map((m: ListedMethod) => ({
    name: m.name,
    summary: m.summary,
    standing: m.standing,
    ranksBy: scoredBy(m),
    needs: m.needs,
    budget: m.budget.name,
    queryAware: m.queryAware,
    options: m.options,
    source: m.paper ?? null,
    deviations: m.deviations ?? [],
  }));
  const wrappers = Object.entries(WRAPPERS).map(([name, w]: [string, Wrapper]) => ({
    name,
    summary: w.summary,
    standing: w.standing,
    argument: w.argument ?? null,
    source: w.paper ?? null,
    deviations: w.deviations ?? [],
  }));
  if (json === true) {
    printJson<MethodsJson>({ methods, wrappers });
    return;
  }
  const isShown = ({ standing }: { readonly standing: Standing }) =>
    all === true || standing !== "research";
  const rows = methods
    .filter(isShown)
    .map((m) => [
      style("bold", m.name),
      m.standing,
      m.queryAware ? "yes" : "no",
      m.budget,
      m.summary,
    ]);
  print(`${table(["method", "", "query-aware", "budget", "what it does"], rows)}\n`);
  const around = wrappers
    .filter(isShown)
    .map((w) => [
      style("bold", w.argument === null ? `${w.name}(…)` : `${w.name}:N(…)`),
      w.standing,
      w.summary,
      w.argument ?? "",
    ]);
  print(table(["around a method", "", "what it changes", "N"], around));
  const hidden = [...methods, ...wrappers].filter((m) => !isShown(m)).length;
  if (hidden > 0) {
    print(
      style("dim", `\n${hidden} more, for comparisons and experiments: pyramidkv methods --all`),
    );
  }
}
