import { appendFile, readFile } from "node:fs/promises";
import { markdownTable } from "../page/markdown.ts";
import { cpus } from "node:os";
import { noiseOf, type GridRow } from "../bench/grid.ts";
import type { Spread } from "../bench/statistics.ts";
import { PyramidKVError } from "../errors.ts";
import { cannotWrite } from "../files.ts";
import { formatBytes, table } from "./format.ts";
import { note, print, printJson, style } from "./terminal.ts";

export const GRID_OUTPUTS = ["table", "md", "csv", "json"] as const;
export type GridOutput = (typeof GRID_OUTPUTS)[number];

/** What every row of a file of results is measured by. */
export interface GridSettings {
  readonly model: string;
  readonly kernels: string;
  readonly threads: number;
  readonly repetitions: number;
  readonly tokens: number;
}

/** Prints rows as asked, and says where the machine was too noisy for single figures. */
export function printGrid(rows: readonly GridRow[], output: GridOutput, s: GridSettings): void {
  const noise = noiseOf(rows);
  if (output === "json") {
    printJson({ settings: s, noise: noise ?? null, rows });
  } else if (output === "csv") {
    print([CSV_HEAD, ...csvRows(rows, s)].join("\n"));
  } else {
    const draw = output === "md" ? markdownTable : table;
    print(draw(HEAD, rows.map(cells)));
  }
  if (noise === undefined) return;
  const swing = `±${Math.round(noise * 100)} %`;
  note(style("yellow", `note: a noisy machine: libllama itself swings by ${swing} between rounds`));
}

/** Adds rows to a CSV file, which gets a head where it is new. */
export async function appendGrid(path: string, rows: readonly GridRow[], s: GridSettings) {
  try {
    const present = await readFile(path, "utf8").catch(() => "");
    if (present !== "" && !present.startsWith(CSV_HEAD)) {
      throw new PyramidKVError("BAD_FILE", `${path} holds other columns than these results`);
    }
    const head = present === "" ? [CSV_HEAD] : [];
    await appendFile(path, `${[...head, ...csvRows(rows, s)].join("\n")}\n`);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

const HEAD = [
  ...["prompt", "batch", "method", "kept", "prefill tokens/s", "× libllama", "first token"],
  ...["decode tokens/s", "× libllama", "KV", "KV peak"],
];

function cells(row: GridRow): string[] {
  const around = ({ median, min, max }: Spread, digits: number) =>
    `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;
  const ratio = (s: Spread | undefined) => (s === undefined ? "" : s.median.toFixed(2));
  return [
    ...[String(row.promptTokens), String(row.batch), row.method, String(row.kvSize ?? "all")],
    ...[around(row.prefill, 0), ratio(row.prefillRatio)],
    `${(row.firstTokenMs.median / 1000).toFixed(2)} s`,
    ...[around(row.decode, 1), ratio(row.decodeRatio)],
    ...(row.kv === undefined ? ["", ""] : [row.kv.bytes, row.kv.peakBytes].map(formatBytes)),
  ];
}

const CSV_HEAD = [
  ...["date", "machine", "model", "kernels", "threads", "repetitions", "answer_tokens"],
  ...["prompt_tokens", "batch", "method", "kv_size"],
  ...["prefill", "decode", "first_token_ms", "prefill_ratio", "decode_ratio"].flatMap((name) => [
    ...[name, `${name}_min`, `${name}_max`],
  ]),
  ...["kv_bytes", "kv_peak_bytes", "kv_full_bytes"],
].join(",");

function csvRows(rows: readonly GridRow[], s: GridSettings): string[] {
  const date = new Date().toISOString();
  const machine = cpus()[0]?.model.trim() ?? "";
  const numbers = (x: Spread | undefined) =>
    x === undefined ? ["", "", ""] : [x.median, x.min, x.max].map((n) => n.toPrecision(6));
  return rows.map((r) =>
    [
      ...[date, machine, s.model, s.kernels, s.threads, s.repetitions, s.tokens],
      ...[r.promptTokens, r.batch, r.method, r.kvSize ?? ""],
      ...[r.prefill, r.decode, r.firstTokenMs, r.prefillRatio, r.decodeRatio].flatMap(numbers),
      ...[r.kv?.bytes ?? "", r.kv?.peakBytes ?? "", r.kv?.fullBytes ?? ""],
    ]
      .map((cell) => quoted(String(cell)))
      .join(","),
  );
}

function quoted(cell: string): string {
  return /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
