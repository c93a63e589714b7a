import { randomUUID } from "node:crypto";
import {
  access,
  constants,
  mkdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { PyramidKVError } from "./errors.ts";

/** A file's text; throws `BAD_FILE` where it cannot be read or is no UTF-8 text. */
export async function readText(path: string): Promise<string> {
  try {
    return decodeText(await readFile(path), path);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** A JSON file's value; throws `BAD_FILE`. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new PyramidKVError("BAD_FILE", `${path} cannot be read as JSON`, { cause: error });
  }
}

/**
 * Bytes as text, without a mark of the byte order.
 *
 * @param source named where they are no UTF-8 text, which is a `BAD_FILE`
 */
export function decodeText(bytes: Uint8Array, source: string): string {
  const [first, second] = bytes;
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  if (isUtf16) {
    const how = "convert it, for example with iconv -f UTF-16 -t UTF-8";
    throw new PyramidKVError("BAD_FILE", `${source} is UTF-16, UTF-8 text is needed; ${how}`);
  }
  if (bytes.includes(0)) {
    throw new PyramidKVError("BAD_FILE", `${source} is no text: it holds bytes that are 0`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new PyramidKVError("BAD_FILE", `${source} is not valid UTF-8`, { cause });
  }
}

/** Writes a file whole or not at all; throws `BAD_FILE`. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  try {
    const there = await stat(path).catch(() => undefined);
    // A device or a pipe is written to, not replaced.
    if (there?.isFile() === false) await writeFile(path, content);
    else await replace(there === undefined ? path : await realpath(path), content);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

async function replace(path: string, content: string | Uint8Array): Promise<void> {
  const unfinished = `${path}.${randomUUID().slice(0, 8)}.part`;
  try {
    await writeFile(unfinished, content, { flag: "wx", flush: true });
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Makes a folder, and those that it lies in; throws `BAD_FILE`. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
    await access(path, constants.W_OK);
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

/** What is wrong with a file or folder that cannot be read, in words; our own errors as they are. */
export function cannotRead(path: string, error: unknown): PyramidKVError {
  return fileError(path, "cannot be read", error);
}

/** The same of one that cannot be written. */
export function cannotWrite(path: string, error: unknown): PyramidKVError {
  return fileError(path, "cannot be written", error);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is no folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  ENAMETOOLONG: "the name is too long",
};

function fileError(path: string, what: string, error: unknown): PyramidKVError {
  if (error instanceof PyramidKVError) return error;
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  // Not a matter of files: a defect, which shows itself.
  if (code === undefined) throw error;
  const why = REASONS[code] === undefined ? "" : `: ${REASONS[code]}`;
  return new PyramidKVError("BAD_FILE", `${path} ${what} (${code})${why}`, { cause: error });
}
