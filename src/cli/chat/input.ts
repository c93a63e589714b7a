import { createInterface, type Interface } from "node:readline";
import { holdMode, isTerminal, note } from "../terminal.ts";
import { Keys, messageOf, type KeySource } from "./keys.ts";

/** Encloses a message of several lines. */
const FENCE = '"""';

export interface InputStreams {
  readonly input: KeySource & { readonly isTTY?: boolean };
  readonly output: NodeJS.WriteStream;
}

/**
 * Messages from people at a terminal, or from a file or another program line by line. `next` waits for one; while an
 * answer is written, `hold` keeps keys from mixing into it.
 */
export class MessageInput implements Disposable {
  /** Ctrl-C at an empty prompt, or during an answer. */
  onInterrupt: () => void = () => undefined;
  /** Ctrl-D during an answer. */
  onEnd: () => void = () => undefined;
  readonly #keys: Keys | undefined;
  readonly #lines: Interface;
  readonly #paste: Disposable | undefined;
  readonly #ready: string[] = [];
  #isOver = false;
  #wake: (() => void) | undefined;
  #block: string[] | undefined;

  constructor({ input, output }: InputStreams) {
    this.isTerminal = input.isTTY === true && isTerminal(output);
    this.isAsked = input.isTTY === true;
    if (this.isTerminal) {
      this.#keys = new Keys(input);
      this.#keys.onInterrupt = () => this.onInterrupt();
      this.#keys.onEnd = () => this.onEnd();
      this.#paste = holdMode("bracketedPaste");
    }
    const terminal = this.isTerminal;
    this.#lines = createInterface({ input: this.#keys ?? input, output, terminal });
    this.#lines.on("line", (line) => {
      this.#ready.push(terminal ? messageOf(line) : line);
      this.#wake?.();
    });
    this.#lines.on("close", () => {
      this.#isOver = true;
      this.#wake?.();
    });
    this.#lines.on("SIGINT", () => this.#interruptTyping());
  }

  /** Whether keys are read one by one. */
  readonly isTerminal: boolean;
  /** Whether somebody is to be asked. */
  readonly isAsked: boolean;

  /** The next message; undefined where no more come. */
  async next(): Promise<string | undefined> {
    this.#ask("> ");
    for (;;) {
      const line = await this.#nextLine();
      if (line === undefined) {
        const begun = this.#block?.join("\n");
        this.#block = undefined;
        return begun;
      }
      const message = this.#joined(line);
      if (message !== undefined) return message;
      this.#ask("… ");
    }
  }

  /** Keeps keys from the terminal until the result is disposed of. */
  hold(): Disposable {
    return this.#keys?.hold() ?? { [Symbol.dispose]: () => undefined };
  }

  close(): void {
    this.#lines.close();
  }

  [Symbol.dispose](): void {
    this.close();
    this.#keys?.close();
    this.#paste?.[Symbol.dispose]();
  }

  /** A whole message, where the line is one or ends one. */
  #joined(line: string): string | undefined {
    if (this.#block === undefined) {
      if (!line.trimStart().startsWith(FENCE)) return line.trim();
      this.#block = [];
      line = line.trimStart().slice(FENCE.length);
    }
    const ends = line.trimEnd().endsWith(FENCE);
    this.#block.push(ends ? line.trimEnd().slice(0, -FENCE.length) : line);
    if (!ends) return undefined;
    const message = this.#block.join("\n").trim();
    this.#block = undefined;
    return message;
  }

  async #nextLine(): Promise<string | undefined> {
    while (this.#ready.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
    return this.#ready.shift();
  }

  /** Shows the prompt again, under what was said meanwhile. */
  askAgain(): void {
    if (this.#wake !== undefined) this.#ask("> ");
  }

  #ask(prompt: string): void {
    if (!this.isAsked || this.#isOver || this.#ready.length > 0) return;
    this.#lines.setPrompt(prompt);
    this.#lines.prompt(true);
  }

  /** Ctrl-C takes back what was typed; where nothing was it means the chat. */
  #interruptTyping(): void {
    const isTyped = this.#lines.line !== "" || this.#block !== undefined;
    if (!isTyped) return this.onInterrupt();
    this.#lines.write(null, { ctrl: true, name: "e" });
    this.#lines.write(null, { ctrl: true, name: "u" });
    if (this.#block === undefined) return;
    this.#block = undefined;
    note('\n(the lines after """ are dropped)');
    this.#ask("> ");
  }
}
