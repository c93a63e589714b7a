import Table from "cli-table3";
import { style } from "./terminal.ts";

/** A table for people, without box-drawing noise. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const out = new Table({
    head: head.map((h) => style("bold", h)),
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 2 },
    chars: {
      top: "",
      "top-mid": "",
      "top-left": "",
      "top-right": "",
      bottom: "",
      "bottom-mid": "",
      "bottom-left": "",
      "bottom-right": "",
      left: "",
      "left-mid": "",
      mid: "",
      "mid-mid": "",
      right: "",
      "right-mid": "",
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
