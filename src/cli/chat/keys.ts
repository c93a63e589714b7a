import { PassThrough } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** What stands for a line's end, and for a tab, in a message that is being typed. */
const SHOWN: Readonly<Record<string, string>> = { "\n": "␊", "\t": "␉" };
const PASTE_BEGINS = "\u001b[200~";
const PASTE_ENDS = "\u001b[201~";
const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
/** Alt-Enter, and the line feed that Ctrl-J types, are ends of a line and not of the message. */
const NEWLINES = ["\u001b\r", "\u001b\n", "\n"];

/** A terminal's input, as far as it is used here. */
export interface KeySource extends NodeJS.ReadableStream {
  setRawMode?(raw: boolean): unknown;
}

/**
 * Keys on their way from a terminal to readline, which knows single lines only: what is pasted, and Alt-Enter, gets
 * signs for its line ends. While an answer is written keys are held back; they come to the next message, unsent.
 */
export class Keys extends PassThrough {
  readonly isTTY = true;
  /** Ctrl-C and Ctrl-D while keys are held back. */
  onInterrupt: () => void = () => undefined;
  onEnd: () => void = () => undefined;
  readonly #decoder = new StringDecoder("utf8");
  #begun = "";
  #isPasting = false;
  #held: string | undefined;
  readonly #onData = (chunk: Buffer) => this.#take(this.#decoder.write(chunk));
  readonly #onSourceEnd = () => this.end();

  constructor(private readonly source: KeySource) {
    super({ encoding: "utf8" });
    source.on("data", this.#onData);
    source.on("end", this.#onSourceEnd);
    // Whoever waits for the terminal learns that it is gone.
    source.on("error", this.#onSourceEnd);
  }

  /** Leaves the terminal alone: nothing waits for keys any more. */
  close(): void {
    this.source.off("data", this.#onData);
    this.source.off("end", this.#onSourceEnd);
    this.source.off("error", this.#onSourceEnd);
    this.source.pause();
    this.destroy();
  }

  setRawMode(raw: boolean): this {
    this.source.setRawMode?.(raw);
    return this;
  }

  /** Holds keys back until the result is disposed of. */
  hold(): Disposable {
    this.#held = "";
    return {
      [Symbol.dispose]: () => {
        const typed = (this.#held ?? "").replaceAll("\r", "\n").trimEnd();
        this.#held = undefined;
        if (typed !== "") this.write(withSigns(typed));
      },
    };
  }

  #take(chunk: string): void {
    let text = this.#begun + chunk;
    this.#begun = "";
    while (text !== "") {
      const mark = this.#isPasting ? PASTE_ENDS : PASTE_BEGINS;
      const at = text.indexOf(mark);
      const rest = at < 0 ? splitBegun(text, mark, this.#isPasting ? 1 : 2) : undefined;
      const before = rest?.[0] ?? text.slice(0, at);
      if (before !== "") this.#pass(before);
      if (rest !== undefined) {
        this.#begun = rest[1];
        return;
      }
      this.#isPasting = !this.#isPasting;
      text = text.slice(at + mark.length);
    }
  }

  #pass(text: string): void {
    if (this.#isPasting) return this.#give(pasted(text));
    let keys = text;
    if (this.#held !== undefined) {
      if (keys.includes(CTRL_C)) this.onInterrupt();
      if (keys.includes(CTRL_D)) this.onEnd();
      keys = keys.replaceAll(CTRL_C, "").replaceAll(CTRL_D, "");
    }
    for (const newline of NEWLINES) keys = keys.replaceAll(newline, SHOWN["\n"] as string);
    this.#give(keys);
  }

  #give(keys: string): void {
    if (keys === "") return;
    if (this.#held === undefined) this.write(keys);
    else this.#held += keys;
  }
}

/** The message that a typed line stands for. */
export function messageOf(line: string): string {
  return Object.entries(SHOWN).reduce((text, [c, sign]) => text.replaceAll(sign, c), line);
}

/** Pasted text for readline: nothing in it is a key. */
function pasted(text: string): string {
  const lines = text.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  // eslint-disable-next-line no-control-regex -- they are what is taken out
  return withSigns(lines.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ""));
}

function withSigns(text: string): string {
  return Object.entries(SHOWN).reduce((out, [c, sign]) => out.replaceAll(c, sign), text);
}

/** Text before what may be the begin of a mark, of at least `least` characters, that the next chunk completes. */
function splitBegun(text: string, mark: string, least: number): [string, string] {
  for (let n = Math.min(mark.length - 1, text.length); n >= least; n--) {
    if (text.endsWith(mark.slice(0, n))) return [text.slice(0, -n), text.slice(-n)];
  }
  return [text, ""];
}
