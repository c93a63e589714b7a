#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { PyramidKVError } from "../errors.ts";
import { COMMANDS } from "./commands.ts";
import { note, style } from "./io.ts";

/** Bad usage, as for most commands; everything else that fails is 1. */
const USAGE_EXIT_CODE = 2;

process.exitCode = 0;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0); // the reader went away: `pyramidkv … | head`
  throw error;
});

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = reportError(error);
}

function program(): Command {
  const root = new Command("pyramidkv")
    .description("Run language models with a compressed KV cache.")
    .version(packageVersion())
    .showHelpAfterError("(see pyramidkv --help)")
    // Options after a command's name are that command's, though others are called alike.
    .enablePositionalOptions()
    .exitOverride();
  for (const [name, define] of Object.entries(COMMANDS)) {
    const command = root.command(name).exitOverride();
    define(command.showHelpAfterError(`(see pyramidkv ${name} --help)`));
  }
  for (const command of [root, ...root.commands]) listKnownCommands(command);
  return root;
}

/** An unknown name is answered with the names there are. */
function listKnownCommands(command: Command): void {
  const known = command.commands.map((c) => c.name()).join(", ");
  if (known === "") return;
  command.configureOutput({
    outputError: (text, write) => {
      const isUnknown = text.includes("unknown command");
      write(isUnknown ? `${text.trimEnd()}\nknown commands: ${known}\n` : text);
    },
  });
}

function reportError(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? 0 : USAGE_EXIT_CODE;
  }
  if (error instanceof PyramidKVError) {
    note(style("red", "error: ") + error.message);
    if (error.code === "ABORTED") return 130;
    return error.code === "USAGE" ? USAGE_EXIT_CODE : 1;
  }
  // Not one of ours: a defect, so everything that helps to find it.
  note(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return 1;
}

function packageVersion(): string {
  const url = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}
