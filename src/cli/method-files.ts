import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Option, type Command } from "commander";
import type { Method } from "../compression/method.ts";
import { addMethod } from "../compression/own-methods.ts";
import { PyramidKVError } from "../errors.ts";
import { names } from "./options.ts";

/** Gives every command that takes methods by name an option for methods of one's own. */
export function addMethodFileOption(command: Command): void {
  const takesMethods = command.options.some(
    ({ long }) => long === "--method" || long === "--methods",
  );
  // Workers are told names.
  if (!takesMethods && command.name() !== "worker") return;
  command
    .addOption(
      new Option(
        "--method-file <path,...>",
        "JavaScript modules that export a method of your own by default, or a list: known by their names from then on",
      ).argParser(names),
    )
    .hook("preAction", (_, action) => loadMethods(action.opts()));
}

/**
 * Makes the methods of modules known: what each exports by default, a method or a list of them.
 *
 * @throws `BAD_FILE` on a module that cannot be run, `USAGE` on what is no method
 */
async function loadMethods({ methodFile = [] }: { readonly methodFile?: readonly string[] }) {
  for (const path of methodFile) {
    let module: { readonly default?: unknown };
    try {
      module = (await import(pathToFileURL(resolve(path)).href)) as typeof module;
    } catch (cause) {
      const [why] = (cause instanceof Error ? cause.message : String(cause)).split(
        " imported from ",
      );
      throw new PyramidKVError("BAD_FILE", `${path} cannot be run as a module: ${why}`, { cause });
    }
    const { default: exported } = module;
    if (exported === undefined) {
      throw new PyramidKVError(
        "USAGE",
        `${path} has no default export; export a method by default`,
      );
    }
    for (const method of Array.isArray(exported) ? exported : [exported])
      addMethod(method as Method);
  }
}
