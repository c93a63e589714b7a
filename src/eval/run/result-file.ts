import { open, truncate } from "node:fs/promises";
import { PyramidKVError } from "../../errors.ts";
import { cannotRead, cannotWrite } from "../../files.ts";
import { FileLock } from "../../lock.ts";
import { parseObject } from "../predictions.ts";
import { keyOf, type ResultRow } from "./result-row.ts";

/**
 * Results as lines of JSON that are only ever added to: what is there is not done again. Several processes may add to
 * one file. A line that was being written when a process died is cut off before the next one is added.
 */
export class ResultFile {
  readonly rows: ResultRow[] = [];
  readonly #byKey = new Map<string, ResultRow>();
  /** Bytes of the file that were read. */
  #end = 0;

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
      await file.#readNew(path);
    } catch (error) {
      throw cannotWrite(path, error);
    }
    return file;
  }

  has(key: string): boolean {
    return this.#byKey.has(key);
  }

  get(key: string): ResultRow | undefined {
    return this.#byKey.get(key);
  }

  /** Adds rows by one write, those that are there already left out. */
  async append(rows: readonly ResultRow[]): Promise<void> {
    const { path } = this;
    if (path === undefined) {
      for (const row of rows) this.#add(row);
      return;
    }
    try {
      await using _lock = await FileLock.take(path, {});
      const { isTorn } = await this.#readNew(path);
      const fresh = rows.filter((row) => this.#add(row));
      if (fresh.length === 0) return;
      const lines = Buffer.from(fresh.map((row) => `${JSON.stringify(row)}\n`).join(""));
      if (isTorn) await truncate(path, this.#end);
      await using handle = await open(path, "a");
      await handle.appendFile(lines);
      await handle.datasync();
      this.#end += lines.length;
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  /** Takes over what was added to the file since. */
  async #readNew(path: string): Promise<{ isTorn: boolean }> {
    const { rows, end, isTorn } = await readLines(path, this.#end);
    for (const row of rows) this.#add(row);
    this.#end = end;
    return { isTorn };
  }

  /** @returns whether it is new */
  #add(row: ResultRow): boolean {
    const key = keyOf(row);
    if (this.#byKey.has(key)) return false;
    this.rows.push(row);
    this.#byKey.set(key, row);
    return true;
  }
}

/** The results in a file that may be being written: an unfinished line is left out. Throws `BAD_FILE`. */
export async function readResults(path: string): Promise<readonly ResultRow[]> {
  try {
    return (await readLines(path)).rows;
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** How every row begins. */
const BEGINNING = '{"task":"';

/** Whole lines from byte `from` on, where they end, and whether an unfinished one follows. */
async function readLines(
  path: string,
  from = 0,
): Promise<{ rows: ResultRow[]; end: number; isTorn: boolean }> {
  const bytes = await readBytes(path, from);
  const whole = bytes.lastIndexOf(10) + 1;
  const text = bytes.subarray(0, whole).toString("utf8");
  const where = (i: number) => (from === 0 ? `line ${i + 1}` : `line ${i + 1} after byte ${from}`);
  const rows = text.split("\n").flatMap((line, i) => {
    return line === "" ? [] : [parseRow(line, `${path}: ${where(i)}`)];
  });
  const rest = bytes.subarray(whole).toString("utf8");
  // Another file is not ours to cut.
  if (!rest.startsWith(BEGINNING) && !BEGINNING.startsWith(rest)) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${path} holds something else than results of pyramidkv eval`,
    );
  }
  return { rows, end: from + whole, isTorn: rest !== "" };
}

async function readBytes(path: string, from: number): Promise<Buffer> {
  await using handle = await open(path, "r");
  const bytes = Buffer.alloc(Math.max(0, (await handle.stat()).size - from));
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, from);
  return bytes.subarray(0, bytesRead);
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
const BYTES = ["fullBytes", "bytes", "keptBytes", "peakBytes", "meanKept"] as const;

/** A row with what tables and reports read of it. */
function parseRow(line: string, where: string): ResultRow {
  const row = parseObject(line, where) as Partial<ResultRow>;
  const { kv, options, answers } = row;
  const isRow =
    TEXTS.every((name) => typeof row[name] === "string") &&
    [row.score, row.promptTokens, row.version ?? FIRST_VERSION].every(
      (n) => typeof n === "number",
    ) &&
    typeof options === "object" &&
    (options as object | null) !== null &&
    Array.isArray(answers) &&
    BYTES.every((name) => typeof kv?.[name] === "number");
  if (!isRow) throw new PyramidKVError("BAD_FILE", `${where} is no result of pyramidkv eval`);
  return { ...row, version: row.version ?? FIRST_VERSION } as ResultRow;
}
