import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import { styleText } from "node:util";

/** Text for people goes to stderr, so that stdout holds results alone. */
export function note(text = ""): void {
  process.stderr.write(`${text}\n`);
}

/** Styles text where both outputs are terminals that show it: a table may go to either. */
export function style(format: "bold" | "dim" | "red" | "green" | "yellow", text: string): string {
  const shown = process.stderr.isTTY && process.stdout.isTTY && process.env.NO_COLOR === undefined;
  return shown ? styleText(format, text) : text;
}

export interface Progress extends Disposable {
  update(done: number, total: number): void;
  stop(): void;
}

/** A progress bar on stderr; silent where stderr is no terminal. */
export function progressBar(label: string, unit: "bytes" | "share" | "count"): Progress {
  if (!process.stderr.isTTY) {
    const nothing = () => undefined;
    return { update: nothing, stop: nothing, [Symbol.dispose]: nothing };
  }
  const bar = new SingleBar({
    format: `${label} {bar} {percentage}%${unit === "share" ? "" : " {amount}"} {eta_formatted}`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    barsize: 30,
    etaBuffer: 50,
  });
  let started = false;
  const stop = () => {
    if (started) bar.stop();
  };
  return {
    update(done, total) {
      const amount =
        unit === "bytes" ? `${formatBytes(done)} of ${formatBytes(total)}` : `${done} of ${total}`;
      if (!started) bar.start(total, done, { amount });
      started = true;
      bar.update(done, { amount });
    },
    stop,
    [Symbol.dispose]: stop,
  };
}

/** A table for people, without box-drawing noise. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const out = new Table({
    head: head.map((h) => style("bold", h)),
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 2 },
    chars: {
      ...{ top: "", "top-mid": "", "top-left": "", "top-right": "" },
      ...{ bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" },
      ...{ left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "" },
      middle: "",
    },
  });
  out.push(...rows.map((row) => [...row]));
  return out.toString();
}

/** 98_362_432 → "98.4 MB". */
export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = "B";
  for (const next of units) {
    if (value < 1_000) break;
    value /= 1_000;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(2) : value.toFixed(1)} ${unit}`;
}

const BLOCKS = "▁▂▃▄▅▆▇█";

/** Numbers as a row of small bars, one per number: the pyramid at a glance. */
export function sparkline(values: readonly number[]): string {
  const max = Math.max(1, ...values);
  return values
    .map((v) => BLOCKS[Math.min(BLOCKS.length - 1, Math.floor((v / max) * BLOCKS.length))])
    .join("");
}
