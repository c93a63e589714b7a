import type { Command } from "commander";
import { loadEngine } from "../load-engine.ts";
import {
  addCompressionOptions,
  addModelOptions,
  addSamplingOptions,
  integer,
  sessionOptions,
} from "../options.ts";
import { Chat, ANSWER_TOKENS, type ChatFlags } from "./chat.ts";
import { runSlashCommand, SLASH_HELP } from "./commands.ts";

/** `pyramidkv chat`: a streaming conversation on one compressed cache. */
export function chatCommand(command: Command): void {
  command
    .description("talk to a model; its compressed cache goes on from turn to turn")
    .option("--system <text>", "system message")
    .option("-n, --max-tokens <n>", `most tokens per answer (default: ${ANSWER_TOKENS})`, integer)
    .option(
      "--kv-limit <n>",
      "tokens per layer at which the cache is compressed again (default: twice the KV size)",
      integer,
    );
  addModelOptions(command);
  addCompressionOptions(command);
  addSamplingOptions(command)
    .addHelpText(
      "after",
      `
In the chat:
${SLASH_HELP}

Example:
  pyramidkv chat --method pyramidkv --kv-size 256`,
    )
    .action(async (flags: ChatFlags) => {
      const options = await sessionOptions(flags);
      await using engine = await loadEngine(flags);
      using chat = new Chat(engine, flags, options);
      await chat.run(runSlashCommand);
    });
}
