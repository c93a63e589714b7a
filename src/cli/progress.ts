import { formatBytes } from "./format.ts";
import { holdMode, isTerminal, note, showStatus } from "./terminal.ts";

export type ProgressUnit = "bytes" | "share" | "count";

export interface Progress extends Disposable {
  update(done: number, total: number): void;
  stop(): void;
}

const BAR_WIDTH = 30;
/** Between two pictures of a bar. */
const DRAWN_MS = 100;
/** Between two lines where there is no terminal to draw a bar on. */
const TOLD_MS = 10_000;

/** How far a long work is, on stderr: a bar on a terminal, elsewhere a line every ten seconds. */
export function progressBar(label: string, unit: ProgressUnit): Progress {
  const isDrawn = isTerminal(process.stderr);
  let first: { readonly done: number; readonly at: number } | undefined;
  let shownAt = 0;
  let cursor: Disposable | undefined;
  const stop = () => {
    if (cursor === undefined) return;
    showStatus("");
    cursor[Symbol.dispose]();
    cursor = undefined;
  };
  return {
    update(done, total) {
      const now = performance.now();
      first ??= { done, at: now };
      if (isDrawn && cursor === undefined) {
        cursor = holdMode("hiddenCursor");
        shownAt = -Infinity;
      } else if (!isDrawn && shownAt === 0) {
        shownAt = now;
      }
      if (now - shownAt < (isDrawn ? DRAWN_MS : TOLD_MS)) return;
      shownAt = now;
      const rate = (done - first.done) / (now - first.at);
      const leftMs = rate > 0 ? (total - done) / rate : undefined;
      const text = describe(done, total, unit, leftMs);
      if (isDrawn) showStatus(`${label} ${drawBar(done / total)} ${text}`);
      else note(`${label.trimEnd()}: ${text}`);
    },
    stop,
    [Symbol.dispose]: stop,
  };
}

/** `45 %, 1.20 GB of 2.67 GB, 12 s left` */
export function describe(done: number, total: number, unit: ProgressUnit, leftMs?: number): string {
  const percent = `${total > 0 ? Math.floor((100 * done) / total) : 0} %`;
  const show = unit === "bytes" ? formatBytes : String;
  const amount = unit === "share" ? [] : [`${show(done)} of ${show(total)}`];
  const left = leftMs === undefined || done >= total ? [] : [`${formatDuration(leftMs)} left`];
  return [percent, ...amount, ...left].join(", ");
}

/** 95_000 → "1 min 35 s" */
export function formatDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function drawBar(share: number): string {
  const full = Math.round(BAR_WIDTH * Math.min(1, Math.max(0, share)));
  return "█".repeat(full) + "░".repeat(BAR_WIDTH - full);
}
