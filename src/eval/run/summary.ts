import { meanScore } from "./score.ts";
import type { ResultRow } from "./result-row.ts";

/** All results of one task in one way. */
export interface CellSummary {
  readonly task: string;
  readonly n: number;
  /** Mean score in percent. */
  readonly score: number;
}

/** One line of a table: a way to run, over all tasks. */
export interface WaySummary {
  /** The method, and whatever else but its size tells it from the other lines. */
  readonly name: string;
  readonly method: string;
  /** Tokens kept per layer and kv head; absent of the full cache. */
  readonly kvSize: number | undefined;
  readonly kvType: string;
  /** Version of the tasks. */
  readonly version: number;
  readonly mode: ResultRow["mode"];
  readonly cells: readonly CellSummary[];
  /** Mean of the tasks' scores. */
  readonly average: number;
  /** Means over samples; of the bytes held, padding is part. */
  readonly kvBytes: number;
  /** Tokens kept per layer and kv head, of the prompt's. */
  readonly keptShare: number;
  readonly rows: readonly ResultRow[];
}

/** Rows as lines of a table, in the order that they came in. */
export function summarise(rows: readonly ResultRow[]): WaySummary[] {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([
      row.version,
      row.mode,
      row.method,
      row.options,
      row.kvType,
      row.weights,
    ]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  const firsts = [...groups.values()].map(([first]) => first as ResultRow);
  return [...groups.values()].map((group) => {
    const [first] = group as [ResultRow];
    const tasks = [...new Set(group.map(({ task }) => task))];
    const cells = tasks.map((task) => {
      const scores = group.filter((row) => row.task === task).map(({ score }) => score);
      return { task, n: scores.length, score: meanScore(scores) ?? NaN };
    });
    const mean = (of: (row: ResultRow) => number) =>
      group.reduce((sum, row) => sum + of(row), 0) / group.length;
    const { method, mode, kvType, options, version } = first;
    return {
      method,
      version,
      mode,
      kvType,
      cells,
      rows: group,
      name: nameAmong(first, firsts),
      kvSize: method === "full" ? undefined : (options.kvSize as number | undefined),
      average: cells.reduce((sum, cell) => sum + cell.score, 0) / cells.length,
      kvBytes: mean((row) => row.kv.bytes),
      keptShare: mean((row) => row.kv.keptBytes / row.kv.fullBytes),
    };
  });
}

/** The size has a column of its own, and a list of budgets has its file's name. */
const UNNAMED = ["kvSize", "budgets"];

/** `snapkv, q4_0, alpha 64`: what differs among the lines of a method is named. */
function nameAmong(
  { method, kvType, options, version }: ResultRow,
  rows: readonly ResultRow[],
): string {
  const alike = rows.filter((row) => row.method === method);
  const differing = Object.keys(options).filter(
    (key) =>
      !UNNAMED.includes(key) &&
      new Set(alike.map((row) => JSON.stringify(row.options[key]))).size > 1,
  );
  const versions = new Set(alike.map((row) => row.version));
  const named = differing.map((key) => `${key} ${String(options[key])}`);
  if (versions.size > 1) named.push(`version ${version}`);
  return [method, ...(kvType === "f16" ? [] : [kvType]), ...named].join(", ");
}

/** Mean prompt length of each task in tokens. */
export function promptLengths(rows: readonly ResultRow[]): ReadonlyMap<string, number> {
  const samples = new Map<string, Map<string, number>>();
  for (const { task, prompt, promptTokens } of rows) {
    const lengths = samples.get(task) ?? new Map<string, number>();
    samples.set(task, lengths.set(prompt, promptTokens));
  }
  return new Map(
    [...samples].map(([task, lengths]) => {
      const counts = [...lengths.values()];
      return [task, counts.reduce((sum, n) => sum + n, 0) / counts.length];
    }),
  );
}
