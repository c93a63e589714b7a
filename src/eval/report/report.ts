import { keyOf, type ResultRow } from "../run/result-row.ts";
import { promptLengths, summarise, type WaySummary } from "../run/summary.ts";
import { pairedDifference, type Interval, type Pairs } from "./bootstrap.ts";
import { needleMap, paretoFront, scoreCurves, type Chart } from "./charts.ts";

export interface ReportTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A suite in one mode: its table and pictures. */
export interface ReportSection {
  readonly title: string;
  /** What the figures are of, in sentences. */
  readonly notes: readonly string[];
  readonly tables: readonly ReportTable[];
  readonly charts: readonly Chart[];
}

export interface Report {
  readonly title: string;
  readonly notes: readonly string[];
  readonly sections: readonly ReportSection[];
}

/** Results as tables and pictures, a section for each model, suite and mode. */
export function makeReport(rows: readonly ResultRow[]): Report {
  const unique = [...new Map(rows.map((row) => [keyOf(row), row])).values()];
  const groups = new Map<string, ResultRow[]>();
  for (const row of unique) {
    const suite = row.task.split("/")[0] as string;
    const key = JSON.stringify([row.model, row.fingerprint, suite, row.mode]);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const models = [...new Set(unique.map(({ model }) => model))];
  const kernels = [...new Set(unique.map((row) => row.kernels))];
  return {
    title: `Compressed KV caches: ${models.join(", ")}`,
    notes: [
      `${unique.length} answers, kernels ${kernels.join(", ")}.`,
      "Differences are to the full cache on the same samples, with the 95 % interval of a paired bootstrap.",
    ],
    sections: [...groups.values()].map(section),
  };
}

const SUITES: Readonly<Record<string, string>> = {
  longbench: "LongBench",
  "longbench-v2": "LongBench v2",
  ruler: "RULER",
  needle: "Needle in a Haystack",
  questions: "Many questions on one text",
};

function section(rows: readonly ResultRow[]): ReportSection {
  const [{ task, mode, model }] = rows as [ResultRow];
  const suite = task.split("/")[0] as string;
  const lines = summarise(rows);
  const when = mode === "aware" ? "the question in the prompt" : "the question after compression";
  const prompts = [...new Set(rows.map((row) => row.prompts))];
  const map = suite === "needle" ? needleMap(rows) : undefined;
  const isGrid = new Set(lines.flatMap(({ kvSize }) => kvSize ?? [])).size > 1;
  return {
    title: `${SUITES[suite] ?? suite}, ${when}`,
    notes: [
      `${model}. Prompts: ${prompts.map((p) => (p === "own" ? "in our own words" : p)).join(", ")}.`,
    ],
    tables: [scoreTable(rows, lines), rateTable(rows, lines)],
    charts: [...(isGrid ? [scoreCurves(lines)] : []), paretoFront(lines), ...(map ? [map] : [])],
  };
}

const shortTask = (task: string) => task.split("/").slice(1).join("/") || task;
const tasksOf = (lines: readonly WaySummary[]) => [
  ...new Set(lines.flatMap(({ cells }) => cells.map(({ task }) => task))),
];

function scoreTable(rows: readonly ResultRow[], lines: readonly WaySummary[]): ReportTable {
  const tasks = tasksOf(lines);
  const full = lines.find(({ kvSize, kvType }) => kvSize === undefined && kvType === "f16");
  return {
    title: "Mean score in percent",
    head: [
      ...["method", "kept", ...tasks.map(shortTask), "average", "to the full cache"],
      ...["samples", "KV of full"],
    ],
    rows: lines.map((line) => {
      const own = line === full || full === undefined ? "" : shown(differenceOf(rows, line));
      const n = line.cells.reduce((sum, cell) => sum + cell.n, 0);
      return [
        line.method + (line.kvType === "f16" ? "" : `, ${line.kvType}`),
        line.kvSize === undefined ? "all" : String(line.kvSize),
        ...tasks.map((task) => line.cells.find((c) => c.task === task)?.score.toFixed(1) ?? ""),
        ...[line.average.toFixed(1), own, String(n)],
        `${((100 * line.kvBytes) / line.fullBytes).toFixed(1)} %`,
      ];
    }),
  };
}

/** `−3.2 [−5.0, −1.4]` */
function shown({ value, low, high }: Interval): string {
  const signed = (x: number) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(1)}`;
  return `${signed(value)} [${signed(low)}, ${signed(high)}]`;
}

/** In percent, over the samples that both have. */
function differenceOf(rows: readonly ResultRow[], line: WaySummary): Interval {
  const sampleOf = (row: ResultRow) => JSON.stringify([row.task, row.sample]);
  const fulls = new Map(
    rows
      .filter(({ method, kvType }) => method === "full" && kvType === "f16")
      .map((row) => [sampleOf(row), row.score]),
  );
  const tasks = new Map<string, [number, number][]>();
  for (const row of line.rows) {
    const theirs = fulls.get(sampleOf(row));
    if (theirs === undefined) continue;
    const own = tasks.get(row.task) ?? [];
    own.push([100 * row.score, 100 * theirs]);
    tasks.set(row.task, own);
  }
  return pairedDifference([...tasks.values()] satisfies Pairs[]);
}

function rateTable(rows: readonly ResultRow[], lines: readonly WaySummary[]): ReportTable {
  const sizes = [...new Set(lines.flatMap(({ kvSize }) => kvSize ?? []))].sort((a, b) => a - b);
  return {
    title: "Compression rate: KV size over mean prompt length",
    head: ["task", "mean tokens", ...sizes.map(String)],
    rows: [...promptLengths(rows)].map(([task, mean]) => [
      ...[shortTask(task), mean.toFixed(0)],
      ...sizes.map((size) => (size >= mean ? "all kept" : `${((100 * size) / mean).toFixed(1)} %`)),
    ]),
  };
}
