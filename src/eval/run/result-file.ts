import { open, readFile, truncate } from "node:fs/promises";
import { PyramidKVError } from "../../errors.ts";
import { parseObject } from "../predictions.ts";
import { keyOf, type ResultRow } from "./result-row.ts";

/**
 * Results as lines of JSON that are only ever added to: what is there is not done again. A line that was being
 * written when the process died is cut off before the next one is added.
 */
export class ResultFile {
  readonly rows: ResultRow[] = [];
  readonly #keys = new Set<string>();
  /** Where the whole lines end, while what follows has still to be cut off. */
  #end: number | undefined;

  private constructor(readonly path: string | undefined) {}

  /**
   * Opens a file, which need not be there; without a path results are held in memory alone.
   *
   * @throws `BAD_FILE` where it cannot be written, or holds anything else
   */
  static async open(path?: string): Promise<ResultFile> {
    const file = new ResultFile(path);
    if (path === undefined) return file;
    try {
      await (await open(path, "a")).close();
      const { rows, end, isTorn } = await readLines(path);
      if (isTorn) file.#end = end;
      for (const row of rows) file.#add(row);
    } catch (error) {
      throw error instanceof PyramidKVError ? error : notWritable(path, error);
    }
    return file;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Adds rows by one write, those that are there already left out. */
  async append(rows: readonly ResultRow[]): Promise<void> {
    const fresh = [...new Map(rows.map((row) => [keyOf(row), row]))]
      .filter(([key]) => !this.#keys.has(key))
      .map(([, row]) => row);
    if (this.path !== undefined && fresh.length > 0) {
      const lines = fresh.map((row) => `${JSON.stringify(row)}\n`).join("");
      try {
        if (this.#end !== undefined) await truncate(this.path, this.#end);
        this.#end = undefined;
        const handle = await open(this.path, "a");
        try {
          await handle.appendFile(lines);
          await handle.datasync();
        } finally {
          await handle.close();
        }
      } catch (error) {
        throw notWritable(this.path, error);
      }
    }
    for (const row of fresh) this.#add(row);
  }

  #add(row: ResultRow): void {
    this.rows.push(row);
    this.#keys.add(keyOf(row));
  }
}

/** The results in a file that may be being written: an unfinished line is left out. Throws `BAD_FILE`. */
export async function readResults(path: string): Promise<readonly ResultRow[]> {
  try {
    return (await readLines(path)).rows;
  } catch (error) {
    throw error instanceof PyramidKVError ? error : notWritable(path, error);
  }
}

/** How every row begins. */
const BEGINNING = '{"task":"';

/** Whole lines, where they end, and whether an unfinished one follows. */
async function readLines(
  path: string,
): Promise<{ rows: ResultRow[]; end: number; isTorn: boolean }> {
  const bytes = await readFile(path);
  const end = bytes.lastIndexOf(10) + 1;
  const text = bytes.subarray(0, end).toString("utf8");
  const rows = text.split("\n").flatMap((line, i) => {
    return line === "" ? [] : [parseRow(line, `${path}: line ${i + 1}`)];
  });
  const rest = bytes.subarray(end).toString("utf8");
  // Another file is not ours to cut.
  if (!rest.startsWith(BEGINNING) && !BEGINNING.startsWith(rest)) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${path} holds something else than results of pyramidkv eval`,
    );
  }
  return { rows, end, isTorn: rest !== "" };
}

function notWritable(path: string, error: unknown): PyramidKVError {
  const { code } = error as NodeJS.ErrnoException;
  const message = `${path} cannot be read or written (${code})`;
  return new PyramidKVError("BAD_FILE", message, { cause: error });
}

const TEXTS = [
  "task",
  "sample",
  "mode",
  "method",
  "kvType",
  "weights",
  "prompt",
  "output",
] as const;
/** Rows told no version at first. */
const FIRST_VERSION = 1;
const BYTES = ["fullBytes", "bytes", "peakBytes", "meanKept"] as const;

/** A row with what tables and reports read of it. */
function parseRow(line: string, where: string): ResultRow {
  const row = parseObject(line, where) as Partial<ResultRow>;
  const { kv, options, answers } = row;
  const isRow =
    TEXTS.every((name) => typeof row[name] === "string") &&
    [row.score, row.promptTokens, row.version ?? FIRST_VERSION].every((n) => typeof n === "number") &&
    typeof options === "object" &&
    (options as object | null) !== null &&
    Array.isArray(answers) &&
    BYTES.every((name) => typeof kv?.[name] === "number");
  if (!isRow) throw new PyramidKVError("BAD_FILE", `${where} is no result of pyramidkv eval`);
  return { ...row, version: row.version ?? FIRST_VERSION } as ResultRow;
}
