import { writeSync } from "node:fs";
import { styleText } from "node:util";
import { cannotWrite } from "../files.ts";

/**
 * What people see: results on stdout, everything else on stderr. This is the one place that writes there, changes how
 * the terminal behaves, and puts it back on every way out.
 */

/** Ways a terminal can behave while one of our parts runs: how each is begun, and ended. */
const MODES = {
  hiddenCursor: ["\u001b[?25l", "\u001b[?25h"],
  bracketedPaste: ["\u001b[?2004h", "\u001b[?2004l"],
} as const;
export type TerminalMode = keyof typeof MODES;

const CLEARED_LINE = "\r\u001b[K";
const held: TerminalMode[] = [];
let statusLine = "";
let isQuiet = false;
let isWatched = false;

/** Leaves results and errors alone to be shown. */
export function beQuiet(): void {
  isQuiet = true;
}

/** Whether a stream is a terminal that understands more than lines of text. */
export function isTerminal(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && process.env.TERM !== "dumb";
}

/** Styles text where both outputs are terminals that show it: a table may go to either. */
export function style(format: "bold" | "dim" | "red" | "green" | "yellow", text: string): string {
  const isShown =
    isTerminal(process.stderr) && isTerminal(process.stdout) && process.env.NO_COLOR === undefined;
  return isShown ? styleText(format, text) : text;
}

/** Says something to people, who may have asked for quiet. */
export function note(text = ""): void {
  if (!isQuiet) write(process.stderr, `${text}\n`);
}

/** Says what went wrong, always. */
export function noteError(text: string): void {
  write(process.stderr, `${text}\n`);
}

/** A line of a result, or more of them. */
export function print(text = ""): void {
  write(process.stdout, `${text}\n`);
}

/** A result for machines. */
export function printJson<T>(value: T): void {
  print(JSON.stringify(value));
}

/** A piece of what a model writes, as it comes. */
export function printPiece(text: string): void {
  process.stdout.write(isTerminal(process.stdout) ? printable(text) : text);
}

/** Shows a line that the next one replaces, on a terminal; an empty one takes it away. */
export function showStatus(text: string): void {
  if (isQuiet || !isTerminal(process.stderr)) return;
  const fitted = text.slice(0, (process.stderr.columns || 80) - 1);
  if (fitted === statusLine) return;
  statusLine = fitted;
  process.stderr.write(CLEARED_LINE + statusLine);
}

/** Changes how the terminal behaves until the result is disposed of, or the process ends. */
export function holdMode(mode: TerminalMode): Disposable {
  const screen = [process.stderr, process.stdout].find(isTerminal);
  if (screen === undefined) return { [Symbol.dispose]: () => undefined };
  watchEnds(screen.fd);
  held.push(mode);
  screen.write(MODES[mode][0]);
  return {
    [Symbol.dispose]: () => {
      const at = held.indexOf(mode);
      if (at < 0) return;
      held.splice(at, 1);
      if (!held.includes(mode)) screen.write(MODES[mode][1]);
    },
  };
}

/** Text with its control characters as visible ones: a model or a file must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(/\r\n/g, "\n").replace(CONTROLS, shownControl);
}

// eslint-disable-next-line no-control-regex -- they are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
// eslint-disable-next-line no-control-regex -- the sequences that `style` writes
const STYLES = /(\u001b\[\d{1,2}m)/;

function shownControl(control: string): string {
  const code = control.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : `\\u${code.toString(16).padStart(4, "0")}`;
}

/** Writes lines around the status line, with nothing but our own styles in them. */
function write(stream: NodeJS.WriteStream, text: string): void {
  if (!stream.isTTY) {
    stream.write(text);
    return;
  }
  const parts = text.split(STYLES).map((part, i) => (i % 2 === 1 ? part : printable(part)));
  const status = statusLine;
  showStatus("");
  stream.write(parts.join(""));
  showStatus(status);
}

const ENDS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 } as const;

/** Puts the terminal back on every way out: an end, an error, a signal, and while the process is stopped. */
function watchEnds(screen: number): void {
  if (isWatched) return;
  isWatched = true;
  process.on("exit", () => writeAtOnce(screen, ended()));
  for (const [signal, number] of Object.entries(ENDS)) {
    process.on(signal, () => {
      // Whoever else listens ends the work in its own way.
      if (process.listenerCount(signal) === 1) process.exit(128 + number);
    });
  }
  process.on("SIGTSTP", () => {
    writeAtOnce(screen, ended());
    process.kill(process.pid, "SIGSTOP");
  });
  process.on("SIGCONT", () => writeAtOnce(screen, held.map((mode) => MODES[mode][0]).join("")));
}

function ended(): string {
  const line = statusLine === "" ? "" : CLEARED_LINE;
  return line + held.map((mode) => MODES[mode][1]).join("");
}

/** Writes at once: at the end of a process nothing is written later. */
function writeAtOnce(screen: number, text: string): void {
  try {
    if (text !== "") writeSync(screen, text);
  } catch {
    // The terminal is gone: there is nothing to put back.
  }
}

/** Ends the process with one sentence where stdout cannot be written, and in silence where its reader went away. */
export function watchOutputs(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0); // `pyramidkv … | head`
    noteError(`${style("red", "error: ")}${cannotWrite("stdout", error).message}`);
    process.exit(1);
  });
  process.stderr.on("error", () => undefined); // nobody hears what would be said
}
