#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { PyramidKVError } from "../errors.ts";
import { COMMANDS } from "./commands.ts";
import { packageVersion } from "./made.ts";
import { addMethodFileOption } from "./method-files.ts";
import { beQuiet, noteError, style, watchOutputs } from "./terminal.ts";

/** Bad usage, as for most commands; everything else that fails is 1. */
const USAGE_EXIT_CODE = 2;

process.exitCode = 0;
watchOutputs();

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = reportError(error);
}

function program(): Command {
  const root = new Command("pyramidkv")
    .description("Run language models with a compressed KV cache.")
    .version(packageVersion())
    // Options after a command's name are that command's, though others are called alike.
    .enablePositionalOptions();
  for (const [name, define] of Object.entries(COMMANDS)) define(root.command(name));
  finish(root, "pyramidkv");
  return root;
}

/** What every command has in common. */
function finish(command: Command, path: string): void {
  const names = command.commands.map((c) => c.name()).join(", ");
  addMethodFileOption(command);
  command
    .option("-q, --quiet", "show results and errors only, no progress and no notes")
    .on("option:quiet", beQuiet)
    .exitOverride()
    .showHelpAfterError(`(see ${path} --help)`)
    .configureOutput({
      writeErr: (text) => noteError(text.trimEnd()),
      // An unknown name is answered with the names there are.
      outputError: (text, write) => {
        const isUnknown = names !== "" && text.includes("unknown command");
        write(isUnknown ? `${text.trimEnd()}\nknown commands: ${names}\n` : text);
      },
    });
  for (const option of command.options) {
    const value = option.defaultValue as unknown;
    if (Array.isArray(value)) option.defaultValueDescription ??= value.join(",");
  }
  for (const child of command.commands) finish(child, `${path} ${child.name()}`);
}

function reportError(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? 0 : USAGE_EXIT_CODE;
  }
  if (error instanceof PyramidKVError) {
    noteError(style("red", "error: ") + error.message);
    if (error.code === "ABORTED") return 130;
    return error.code === "USAGE" ? USAGE_EXIT_CODE : 1;
  }
  // Not one of ours: a defect, so everything that helps to find it.
  noteError(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return 1;
}
