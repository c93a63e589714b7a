import { mean } from "../../mean.ts";
import type { PageSection, Table } from "../../page/page.ts";
import type { ResultRow } from "../run/result-row.ts";
import { promptLengths, summarise, type WaySummary } from "../run/summary.ts";
import { pairedDifference, type Interval, type Pairs } from "./bootstrap.ts";

/** A suite in one mode. */
export interface TableSection extends Omit<PageSection, "charts"> {
  readonly lines: readonly WaySummary[];
}

/** Results as tables, a section for each model, suite and mode. */
export function resultSections(rows: readonly ResultRow[]): TableSection[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.model, row.weights, suiteOf(row), row.version, row.mode]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  const suites = new Map<string, Set<number>>();
  for (const row of rows) {
    const versions = suites.get(suiteOf(row)) ?? new Set();
    suites.set(suiteOf(row), versions.add(row.version));
  }
  return [...groups.values()].map((group) => {
    const [first] = group as [ResultRow];
    const isOneOfSeveral = (suites.get(suiteOf(first))?.size ?? 0) > 1;
    return section(group, isOneOfSeveral ? `, version ${first.version}` : "");
  });
}

const SUITES: Readonly<Record<string, string>> = {
  longbench: "LongBench",
  "longbench-v2": "LongBench v2",
  ruler: "RULER",
  needle: "Needle in a Haystack",
  questions: "Many questions on one text",
  quality: "Nearness to the full cache",
};

const suiteOf = ({ task }: ResultRow) => task.split("/")[0] as string;

function section(rows: readonly ResultRow[], version: string): TableSection {
  const [first] = rows as [ResultRow];
  const suite = suiteOf(first);
  const lines = summarise(rows);
  const when =
    first.mode === "aware" ? "the question in the prompt" : "the question after compression";
  const prompts = [...new Set(rows.map((row) => row.prompts))];
  const words = prompts.map((p) => (p === "own" ? "in our own words" : p)).join(", ");
  return {
    title: `${SUITES[suite] ?? suite}${version}, ${when}`,
    notes: [
      `${first.model}. Prompts: ${words}. Differences are to the full cache on the same samples, with the 95 % interval of a paired bootstrap.`,
    ],
    tables: [scoreTable(lines), ...divergenceTable(lines), rateTable(rows, lines)],
    lines,
  };
}

const shortTask = (task: string) => task.split("/").slice(1).join("/") || task;
const tasksOf = (lines: readonly WaySummary[]) => [
  ...new Set(lines.flatMap(({ cells }) => cells.map(({ task }) => task))),
];

function scoreTable(lines: readonly WaySummary[]): Table {
  const tasks = tasksOf(lines);
  const full = lines.find(({ kvSize, kvType }) => kvSize === undefined && kvType === "f16");
  const scores = new Map(full?.rows.map((row) => [sampleOf(row), row.score]));
  return {
    title: "Mean score in percent",
    head: [
      ...["method", "kept", ...tasks.map(shortTask), "average", "to the full cache"],
      ...["samples", "tokens kept", "MB held"],
    ],
    rows: lines.map((line) => {
      const pairs = line === full ? [] : pairsOf(line, scores);
      const n = line.cells.reduce((sum, cell) => sum + cell.n, 0);
      return [
        ...[line.name, line.kvSize === undefined ? "all" : String(line.kvSize)],
        ...tasks.map((task) => line.cells.find((c) => c.task === task)?.score.toFixed(1) ?? ""),
        ...[line.average.toFixed(1), pairs.length === 0 ? "" : shown(pairedDifference(pairs))],
        ...[String(n), `${(100 * line.keptShare).toFixed(1)} %`, (line.kvBytes / 1e6).toFixed(2)],
      ];
    }),
  };
}

/** How far next-token probabilities are from the full cache's, where that was measured. */
function divergenceTable(lines: readonly WaySummary[]): Table[] {
  const rows = lines.flatMap(({ name, kvSize, rows: lineRows }) => {
    const divergences = lineRows.flatMap(({ facts }) => facts?.kl ?? []);
    if (divergences.length === 0) return [];
    const size = kvSize === undefined ? "all" : String(kvSize);
    return [
      [
        name,
        size,
        mean(divergences).toFixed(3),
        Math.max(...divergences).toFixed(3),
        String(divergences.length),
      ],
    ];
  });
  if (rows.length === 0) return [];
  const head = ["method", "kept", "mean KL, nats", "largest of a document", "documents"];
  return [
    { title: "Divergence of the next token's probabilities from the full cache's", head, rows },
  ];
}

/** The same prompt of the same task. */
const sampleOf = ({ task, sample, prompt }: ResultRow) => JSON.stringify([task, sample, prompt]);

/** `−3.2 [−5.0, −1.4]` */
function shown({ value, low, high }: Interval): string {
  const signed = (x: number) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(1)}`;
  return `${signed(value)} [${signed(low)}, ${signed(high)}]`;
}

/** Scores in percent beside the full cache's, over the samples that both have, by task. */
function pairsOf(line: WaySummary, full: ReadonlyMap<string, number>): Pairs[] {
  const tasks = new Map<string, [number, number][]>();
  for (const row of line.rows) {
    const theirs = full.get(sampleOf(row));
    if (theirs === undefined) continue;
    const taskRows = tasks.get(row.task) ?? [];
    taskRows.push([100 * row.score, 100 * theirs]);
    tasks.set(row.task, taskRows);
  }
  return [...tasks.values()];
}

function rateTable(rows: readonly ResultRow[], lines: readonly WaySummary[]): Table {
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
