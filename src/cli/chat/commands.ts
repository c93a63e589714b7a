import type { Chat } from "./chat.ts";
import { suggestion } from "../../nearest.ts";
import { note } from "../terminal.ts";
import { PyramidKVError } from "../../errors.ts";

interface SlashCommand {
  readonly help: string;
  run(chat: Chat, argument: string): Promise<void> | void;
}

/** What can be typed at the prompt besides messages. */
const SLASH_COMMANDS: Readonly<Record<string, SlashCommand>> = {
  "/method": {
    help: "[name [kvSize]]  change the compression; the conversation is prefilled anew",
    run: (chat, argument) => chat.changeMethod(argument),
  },
  "/kv": { help: "tokens and bytes kept per layer", run: (chat) => chat.showKv() },
  "/stats": { help: "memory and speed so far", run: (chat) => chat.showStats() },
  "/regen": { help: "answer the last message again", run: (chat) => chat.regenerate() },
  "/undo": { help: "take the last message and its answer back", run: (chat) => chat.undo() },
  "/reset": { help: "forget the conversation", run: (chat) => chat.reset() },
  "/save": { help: "<file>  write the conversation as JSON", run: (chat, path) => chat.save(path) },
  "/load": {
    help: "<file>  go on with a saved conversation",
    run: (chat, path) => chat.load(path),
  },
  "/help": { help: "this list", run: () => note(SLASH_HELP) },
  "/quit": { help: "leave", run: (chat) => chat.quit() },
};

/** Runs a line that begins with a slash. */
export async function runSlashCommand(chat: Chat, line: string): Promise<void> {
  const [name = "", ...rest] = line.split(" ");
  const command = Object.hasOwn(SLASH_COMMANDS, name) ? SLASH_COMMANDS[name] : undefined;
  if (command === undefined) {
    const names = Object.keys(SLASH_COMMANDS);
    throw new PyramidKVError(
      "USAGE",
      `unknown command ${name}; known: ${names.join(", ")}${suggestion(name, names)}`,
    );
  }
  await command.run(chat, rest.join(" ").trim());
}

/** What the prompt understands, for people. */
export const SLASH_HELP = [
  ...Object.entries(SLASH_COMMANDS).map(([name, { help }]) => `  ${name.padEnd(8)} ${help}`),
  '  """      begins and ends a message of several lines; Alt-Enter begins a line, too',
  "  Ctrl-C   stops an answer and keeps what came, or takes back what is typed; twice quits",
].join("\n");
