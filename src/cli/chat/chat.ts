import { Conversation } from "../../engine/conversation.ts";
import type { Engine } from "../../engine/engine.ts";
import { reportKv } from "../../engine/kv-report.ts";
import type { SessionOptions } from "../../engine/session-options.ts";
import type { Session } from "../../engine/session.ts";
import { PyramidKVError } from "../../errors.ts";
import { readJson, writeWhole } from "../../files.ts";
import { ROLES, type ChatMessage } from "../../tokenizer/chat-template.ts";
import {
  integer,
  samplingOptions,
  type CompressionFlags,
  type ModelFlags,
  type SamplingFlags,
} from "../options.ts";
import { progressBar } from "../progress.ts";
import { cutNote, keptLine, layerTable, summary, timingsResult } from "../results.ts";
import { isTerminal, note, noteError, print, printPiece, style } from "../terminal.ts";
import { noteUnused } from "../unused.ts";
import { MessageInput } from "./input.ts";

export const ANSWER_TOKENS = 512;
/** A second Ctrl-C within this time quits. */
const TWICE_MS = 2_000;

export type ChatFlags = ModelFlags &
  CompressionFlags &
  SamplingFlags & {
    readonly system?: string;
    readonly maxTokens?: number;
    readonly kvLimit?: number;
  };

/** A conversation with people at a terminal, or with lines that come on stdin. */
export class Chat implements Disposable {
  #session: Session;
  #conversation: Conversation;
  #options: SessionOptions;
  #answering: AbortController | undefined;
  #closing = false;
  #interruptedAt = -Infinity;
  #firstTokenMs = 0;
  #regenerated = 0;
  readonly #onSignal = () => this.#onInterrupt();
  readonly #input = new MessageInput({
    input: process.stdin,
    output: isTerminal(process.stdout) ? process.stdout : process.stderr,
  });

  constructor(
    private readonly engine: Engine,
    private readonly flags: ChatFlags,
    options: SessionOptions,
  ) {
    const limit = flags.kvLimit === undefined ? {} : { kvLimit: flags.kvLimit };
    this.#options = { ...options, ...limit };
    this.#session = engine.createSession(this.#options);
    this.#conversation = this.#newConversation();
  }

  /** Answers messages until the user leaves; lines that begin with a slash are given to `onCommand`. */
  async run(onCommand: (chat: Chat, line: string) => Promise<void>): Promise<void> {
    const { method, options } = this.#session.compression;
    const size = method.options.includes("kvSize") ? `, ${options.kvSize} kept per layer` : "";
    note(
      style("dim", `${this.engine.model.name}, ${method.name}${size}; /help lists the commands`),
    );
    noteUnused(this.flags, this.#session.compression);
    this.#input.onInterrupt = this.#onSignal;
    this.#input.onEnd = () => this.quit();
    process.on("SIGINT", this.#onSignal);
    while (!this.#closing) {
      const message = await this.#input.next();
      if (message === undefined) break;
      await this.#handle(message, onCommand);
    }
    // The shell's prompt begins a line of its own.
    if (this.#input.isAsked) print();
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.#onSignal);
    this.#input[Symbol.dispose]();
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

  async load(path: string): Promise<void> {
    if (path === "") throw new PyramidKVError("USAGE", "/load needs a file name");
    const messages = savedMessages(path, await readJson(path));
    this.#conversation.restore(messages);
    note(`${messages.length} messages of ${path}; the next one goes on from there`);
  }

  undo(): void {
    const message = this.#conversation.undo();
    note(message === undefined ? "nothing was said yet" : `taken back: ${shortened(message)}`);
  }

  async regenerate(): Promise<void> {
    const before = this.#conversation.messages.slice();
    const message = this.#conversation.undo();
    if (message === undefined) return note("nothing was said yet");
    const { temperature = 0 } = this.flags;
    if (temperature === 0) note("(at temperature 0 the answer comes out the same)");
    this.#regenerated++;
    if (!(await this.#answer(message))) this.#conversation.restore(before);
  }

  quit(): void {
    this.#closing = true;
    this.#answering?.abort();
    this.#input.close();
  }

  async #handle(
    message: string,
    onCommand: (chat: Chat, line: string) => Promise<void>,
  ): Promise<void> {
    try {
      if (message === "") return;
      if (message.startsWith("/")) await onCommand(this, message);
      else await this.#answer(message);
    } catch (error) {
      // A wrong line must not end the conversation.
      noteError(style("red", "error: ") + (error instanceof Error ? error.message : String(error)));
    }
  }

  /** Whether the message, and what came of its answer, is part of the conversation now. */
  async #answer(message: string): Promise<boolean> {
    using _ = this.#input.hold();
    using bar = progressBar("reading", "share");
    this.#answering = new AbortController();
    const { signal } = this.#answering;
    const started = performance.now();
    this.#firstTokenMs = 0;
    const maxTokens = this.flags.maxTokens ?? ANSWER_TOKENS;
    const onProgress = (share: number) => bar.update(Math.round(share * 1000), 1000);
    const options = {
      ...samplingOptions(this.flags),
      ...this.#seed(),
      maxTokens,
      signal,
      onProgress,
    };
    let finishReason: string | undefined;
    try {
      for await (const piece of this.#conversation.send(message, options)) {
        if (this.#firstTokenMs === 0) {
          bar.stop();
          this.#firstTokenMs = performance.now() - started;
        }
        printPiece(piece.text);
        finishReason = piece.finishReason;
      }
    } catch (error) {
      if (!(error instanceof PyramidKVError) || error.code !== "ABORTED") throw error;
    } finally {
      bar.stop();
      if (this.#firstTokenMs > 0) print();
      this.#answering = undefined;
    }
    if (this.#firstTokenMs === 0) {
      note(style("dim", "[stopped; the message is dropped]"));
      return false;
    }
    const cut = signal.aborted ? "[stopped]" : cutNote(finishReason, maxTokens, this.#session);
    if (cut !== undefined) note(style("dim", cut));
    note(
      style(
        "dim",
        keptLine(reportKv(this.#session.cache, this.#session.nPast), this.#session.nPast),
      ),
    );
    return true;
  }

  /** A seed that was given makes other answers when they are asked for again, and always the same ones. */
  #seed(): { seed?: number } {
    const { seed } = this.flags;
    return seed === undefined ? {} : { seed: seed + this.#regenerated };
  }

  #onInterrupt(): void {
    const now = performance.now();
    const isSecond = now - this.#interruptedAt < TWICE_MS;
    this.#interruptedAt = now;
    if (isSecond) return this.quit();
    if (this.#answering !== undefined) this.#answering.abort();
    else note("\n(press Ctrl-C again or type /quit to leave)");
    this.#input.askAgain();
  }

  #newConversation(): Conversation {
    return new Conversation(this.#session, this.engine.tokenizer, this.flags.system);
  }
}

/** The messages of a file that `/save` wrote. */
function savedMessages(path: string, content: unknown): ChatMessage[] {
  const { messages } = (content ?? {}) as { messages?: unknown };
  const isMessage = (one: unknown): one is ChatMessage => {
    const { role, content: text } = (one ?? {}) as Partial<Record<string, unknown>>;
    return typeof text === "string" && ROLES.some((name) => name === role);
  };
  if (!Array.isArray(messages) || !messages.every(isMessage)) {
    throw new PyramidKVError("BAD_FILE", `${path} holds no conversation as /save writes it`);
  }
  if (messages.at(-1)?.role === "user") {
    throw new PyramidKVError("BAD_FILE", `${path} ends with a message that was not answered`);
  }
  return messages;
}

function shortened(text: string): string {
  const line = text.replaceAll("\n", " ");
  return line.length > 60 ? `${line.slice(0, 60)}…` : line;
}
