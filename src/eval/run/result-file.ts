import { open, readFile, truncate } from "node:fs/promises";
import { PyramidKVError } from "../../errors.ts";
import { parseObject } from "../predictions.ts";
import type { ResultRow } from "./result-row.ts";
import { keyOf } from "./result-row.ts";

/**
 * Results as lines of JSON that are only ever added to: what is there is not done again. A line that was being
 * written when the process died is cut off when the file is opened.
 */
export class ResultFile {
  readonly rows: ResultRow[] = [];
  readonly #keys = new Set<string>();

  private constructor(readonly path: string | undefined) {}

  /** Opens a file, which need not be there; without a path results are held in memory alone. Throws `BAD_FILE`. */
  static async open(path?: string): Promise<ResultFile> {
    const file = new ResultFile(path);
    if (path === undefined) return file;
    const { rows, end, size } = await readLines(path).catch((error: unknown) => {
      if (error instanceof PyramidKVError) throw error;
      const isNew = (error as NodeJS.ErrnoException).code === "ENOENT";
      if (!isNew) throw notWritable(path, error);
      return { rows: [], end: 0, size: 0 };
    });
    if (end < size) await truncate(path, end);
    for (const row of rows) file.#add(row);
    return file;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** Adds rows by one write, those that are there already left out. */
  async append(rows: readonly ResultRow[]): Promise<void> {
    const fresh = rows.filter((row) => !this.#keys.has(keyOf(row)));
    if (this.path !== undefined && fresh.length > 0) {
      const lines = fresh.map((row) => `${JSON.stringify(row)}\n`).join("");
      try {
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

/** Whole lines, where they end, and where the file does. */
async function readLines(path: string): Promise<{ rows: ResultRow[]; end: number; size: number }> {
  const bytes = await readFile(path);
  const end = bytes.lastIndexOf(10) + 1;
  const lines = bytes.subarray(0, end).toString("utf8").split("\n");
  const rows = lines.flatMap((line, i) =>
    line === "" ? [] : [parseRow(line, `${path}: line ${i + 1}`)],
  );
  return { rows, end, size: bytes.length };
}

function notWritable(path: string, error: unknown): PyramidKVError {
  const { code } = error as NodeJS.ErrnoException;
  const message = `${path} cannot be read or written (${code})`;
  return new PyramidKVError("BAD_FILE", message, { cause: error });
}

/** Fields that tell results apart; the rest of a row is not looked at before it is shown. */
function parseRow(line: string, where: string): ResultRow {
  const row = parseObject(line, where) as Partial<ResultRow>;
  const texts = [row.task, row.sample, row.mode, row.method, row.prompt, row.fingerprint];
  const isRow =
    texts.every((t) => typeof t === "string") &&
    typeof row.score === "number" &&
    typeof row.kv === "object";
  if (!isRow) throw new PyramidKVError("BAD_FILE", `${where} is no result of pyramidkv eval`);
  return row as ResultRow;
}
