import { createInterface } from "node:readline";
import type { Command } from "commander";
import { Conversation } from "../engine/conversation.ts";
import type { Engine } from "../engine/engine.ts";
import type { SessionOptions } from "../engine/session-options.ts";
import { reportKv } from "../engine/kv-report.ts";
import type { Session } from "../engine/session.ts";
import { PyramidKVError } from "../errors.ts";
import { writeWhole } from "../files.ts";
import { note, progressBar, style } from "./io.ts";
import { loadEngine } from "./load-engine.ts";
import {
  addCompressionOptions,
  addModelOptions,
  addSamplingOptions,
  integer,
  samplingOptions,
  sessionOptions,
  type CompressionFlags,
  type ModelFlags,
  type SamplingFlags,
} from "./options.ts";
import { layerTable, summary, timingsResult } from "./results.ts";

const ANSWER_TOKENS = 512;

type Flags = ModelFlags &
  CompressionFlags &
  SamplingFlags & {
    readonly system?: string;
    readonly maxTokens?: number;
    readonly kvLimit?: number;
  };

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
  "/reset": { help: "forget the conversation", run: (chat) => chat.reset() },
  "/save": { help: "<file>  write the conversation as JSON", run: (chat, path) => chat.save(path) },
  "/help": { help: "this list", run: () => showHelp() },
  "/quit": { help: "leave", run: (chat) => chat.quit() },
};

/** `pyramidkv chat`: a streaming conversation on one compressed cache. */
export function chatCommand(command: Command): void {
  command
    .description("talk to a model; its compressed cache goes on from turn to turn")
    .option("--system <text>", "system message")
    .option("-n, --max-tokens <n>", "most tokens per answer (default: 512)", integer)
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
${slashHelp()}
Ctrl-C stops an answer and keeps what came; a second one quits.

Example:
  pyramidkv chat --method pyramidkv --kv-size 256`,
    )
    .action(async (flags: Flags) => {
      const options = await sessionOptions(flags);
      await using engine = await loadEngine(flags);
      await new Chat(engine, flags, options).run();
    });
}

class Chat {
  #session: Session;
  #conversation: Conversation;
  #options: SessionOptions;
  #answering: AbortController | undefined;
  #closing = false;
  readonly #lines = createInterface({
    input: process.stdin,
    output: process.stderr,
    terminal: process.stdin.isTTY,
  });

  constructor(
    private readonly engine: Engine,
    private readonly flags: Flags,
    options: SessionOptions,
  ) {
    const limit = flags.kvLimit === undefined ? {} : { kvLimit: flags.kvLimit };
    this.#options = { ...options, ...limit };
    this.#session = engine.createSession(this.#options);
    this.#conversation = this.#newConversation();
  }

  async run(): Promise<void> {
    const { method, options } = this.#session.compression;
    const size = method.options.includes("kvSize") ? `, ${options.kvSize} kept per layer` : "";
    note(
      style("dim", `${this.engine.model.name}, ${method.name}${size}; /help lists the commands`),
    );
    this.#lines.on("SIGINT", () => this.#onInterrupt());
    process.on("SIGINT", () => this.#onInterrupt());
    this.#ask();
    for await (const line of this.#lines) {
      await this.#handle(line.trim());
      if (this.#closing) break;
      this.#ask();
    }
    this.#session[Symbol.dispose]();
  }

  changeMethod(argument: string): void {
    const [name, size] = argument.split(/\s+/).filter((part) => part !== "");
    if (name === undefined) {
      note(this.#session.compression.method.name);
      return;
    }
    const kvSize: { kvSize?: number } = size === undefined ? {} : { kvSize: integer(size) };
    const { kvLimit, ...rest } = this.#options;
    // A limit that was given stays, unless the new size outgrew it.
    const keep = kvLimit !== undefined && kvLimit >= (kvSize.kvSize ?? 0) ? { kvLimit } : {};
    const options = { ...rest, method: name, ...kvSize, ...keep };
    const session = this.engine.createSession(options);
    const conversation = new Conversation(session, this.engine.tokenizer);
    conversation.restore(this.#conversation.messages);
    this.#session[Symbol.dispose]();
    this.#session = session;
    this.#options = options;
    this.#conversation = conversation;
    note(`${name} from the next message on`);
  }

  showKv(): void {
    if (this.#session.nPast === 0) note("the cache is empty");
    else note(layerTable(reportKv(this.#session.cache, this.#session.nPast)));
  }

  showStats(): void {
    if (this.#session.nPast === 0) return note("nothing was said yet");
    const kv = reportKv(this.#session.cache, this.#session.nPast);
    const { ledger } = this.#session.cache;
    const timings = timingsResult(this.engine, this.#session, this.#firstTokenMs);
    note(summary(kv, ledger.peak, this.#session.nPast, timings));
  }

  async reset(): Promise<void> {
    await this.#session.reset();
    this.#conversation = this.#newConversation();
    note("forgotten");
  }

  async save(path: string): Promise<void> {
    if (path === "") throw new PyramidKVError("USAGE", "/save needs a file name");
    const content = { model: this.engine.model.name, messages: this.#conversation.messages };
    await writeWhole(path, `${JSON.stringify(content, null, 2)}\n`);
    note(`saved to ${path}`);
  }

  quit(): void {
    this.#closing = true;
    this.#lines.close();
  }

  #firstTokenMs = 0;

  async #handle(line: string): Promise<void> {
    try {
      if (line === "") return;
      if (!line.startsWith("/")) return await this.#answer(line);
      const [name = "", ...rest] = line.split(" ");
      const command = SLASH_COMMANDS[name];
      if (command === undefined) {
        const known = Object.keys(SLASH_COMMANDS).join(", ");
        throw new PyramidKVError("USAGE", `unknown command ${name}; known: ${known}`);
      }
      await command.run(this, rest.join(" ").trim());
    } catch (error) {
      // A wrong line must not end the conversation.
      const message = error instanceof Error ? error.message : String(error);
      note(style("red", "error: ") + message);
    }
  }

  async #answer(message: string): Promise<void> {
    this.#answering = new AbortController();
    const { signal } = this.#answering;
    const bar = progressBar("reading", "share");
    const started = performance.now();
    this.#firstTokenMs = 0;
    try {
      const onProgress = (share: number) => bar.update(Math.round(share * 1000), 1000);
      const maxTokens = this.flags.maxTokens ?? ANSWER_TOKENS;
      const options = { ...samplingOptions(this.flags), maxTokens, signal, onProgress };
      for await (const { text } of this.#conversation.send(message, options)) {
        if (this.#firstTokenMs === 0) {
          bar.stop();
          this.#firstTokenMs = performance.now() - started;
        }
        process.stdout.write(text);
      }
    } catch (error) {
      if (!(error instanceof PyramidKVError) || error.code !== "ABORTED") throw error;
      note(style("dim", " [stopped]"));
    } finally {
      bar.stop();
      process.stdout.write("\n");
      this.#answering = undefined;
    }
  }

  #onInterrupt(): void {
    if (this.#answering !== undefined && !this.#answering.signal.aborted) this.#answering.abort();
    else if (this.#answering !== undefined || this.#interrupted) this.quit();
    else note("(press Ctrl-C again or type /quit to leave)");
    this.#interrupted = true;
    setTimeout(() => (this.#interrupted = false), 2_000).unref();
  }

  #interrupted = false;

  #newConversation(): Conversation {
    return new Conversation(this.#session, this.engine.tokenizer, this.flags.system);
  }

  #ask(): void {
    this.#lines.setPrompt("> ");
    if (process.stdin.isTTY) this.#lines.prompt();
  }
}

function slashHelp(): string {
  return Object.entries(SLASH_COMMANDS)
    .map(([name, { help }]) => `  ${name.padEnd(8)} ${help}`)
    .join("\n");
}

function showHelp(): void {
  note(slashHelp());
}
