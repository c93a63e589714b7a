import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { access, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import { cannotWrite, makeFolder } from "../files.ts";
import { FileLock } from "../lock.ts";

export type ByteProgress = (doneBytes: number, totalBytes: number) => void;

export interface FetchOptions {
  readonly onProgress?: ByteProgress | undefined;
  /** Called with a sentence that says where something is fetched from, and what is done instead. */
  readonly onNote?: ((message: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface DownloadRequest extends FetchOptions {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Where the finished file goes; it appears there whole or not at all. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** How often a cut connection is taken up again before giving up. */
const MAX_ATTEMPTS = 5;
const FIRST_PAUSE_MS = 250;

/**
 * Downloads a file to `path`, or waits for another process that does. What arrived stays beside it as `.incomplete`, so
 * that a cut connection, a full disk or a stopped process costs only the rest; size and SHA-256 are checked at the end.
 *
 * @throws `NETWORK` with the status or cause, `BAD_FILE` on a wrong hash or a folder that cannot be written, `ABORTED`
 */
export async function download(request: DownloadRequest): Promise<void> {
  const { path, signal, onNote } = request;
  await makeFolder(dirname(path));
  await using _lock = await FileLock.take(path, {
    signal,
    onWait: () => onNote?.(`another process fetches ${path}; waiting for it`),
  });
  // Finished by that process, or left by one that could not unpack it.
  if ((await sizeOf(path)) === request.bytes) return;
  const partial = `${path}.incomplete`;
  for (let attempt = 1; (await sizeOf(partial)) < request.bytes; attempt++) {
    try {
      await fetchRest(request, partial);
      const have = await sizeOf(partial);
      if (have < request.bytes) throw new Error(`the answer ended after ${have} bytes`);
    } catch (error) {
      throwIfAborted(signal);
      if (error instanceof PyramidKVError || isOfFiles(error) || attempt >= MAX_ATTEMPTS) {
        throw asDownloadError(error, request, await sizeOf(partial));
      }
      const pause = FIRST_PAUSE_MS * 2 ** (attempt - 1);
      await delay(pause, undefined, signal === undefined ? {} : { signal }).catch(() => {
        throwIfAborted(signal);
      });
    }
  }
  await verifyFile(partial, request);
  await rename(partial, path);
}

/** Asks for what is missing and appends it; a server that ignores ranges starts the file over. */
async function fetchRest(request: DownloadRequest, partial: string): Promise<void> {
  const have = await sizeOf(partial);
  const range: Record<string, string> = have > 0 ? { range: `bytes=${have}-` } : {};
  const response = await fetch(request.url, {
    headers: { ...request.headers, ...range },
    signal: request.signal ?? null,
  });
  const body = requireFile(response, request, have);
  const resumed = response.status === 206;
  let done = resumed ? have : 0;
  const counted = Readable.fromWeb(body).on("data", (chunk: Buffer) => {
    done += chunk.length;
    request.onProgress?.(Math.min(done, request.bytes), request.bytes);
  });
  await pipeline(counted, createWriteStream(partial, { flags: resumed ? "a" : "w" }));
}

/** The answer's body, unless it is no file or would replace what is there already by another one. */
function requireFile(response: Response, { url, bytes }: DownloadRequest, have: number) {
  if (!response.ok || response.body === null) {
    throw new PyramidKVError("NETWORK", `${url} answered ${explain(response.status)}`);
  }
  if (/^text\/html\b/i.test(response.headers.get("content-type") ?? "")) {
    throw new PyramidKVError(
      "NETWORK",
      `${url} answered with a web page instead of the file; is there a login or a proxy between?`,
    );
  }
  const length = response.headers.get("content-length");
  if (response.status === 200 && length !== null && Number(length) < Math.min(have, bytes)) {
    throw new Error(`the answer has ${length} bytes, the file ${bytes}`);
  }
  return response.body;
}

export interface StartRequest {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly size: number;
  readonly signal?: AbortSignal | undefined;
}

/** The first `size` bytes of a file; a server that ignores ranges is stopped there. Throws `NETWORK`. */
export async function fetchStart({
  url,
  headers,
  size,
  signal,
}: StartRequest): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let have = 0;
  // The limit is on the first answer alone: what follows takes as long as it takes.
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new Error("no answer"));
  }, FIRST_ANSWER_MS);
  try {
    const response = await fetch(url, {
      headers: { ...headers, range: `bytes=0-${size - 1}` },
      signal: AbortSignal.any([late.signal, ...(signal === undefined ? [] : [signal])]),
    });
    clearTimeout(timer);
    if (!response.ok || response.body === null) {
      throw new PyramidKVError("NETWORK", `${url} answered ${explain(response.status)}`);
    }
    for await (const chunk of response.body) {
      const part = (chunk as Uint8Array).subarray(0, size - have);
      bytes.set(part, have);
      have += part.length;
      if (have === size) break;
    }
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof PyramidKVError) throw error;
    throw new PyramidKVError("NETWORK", `${url}: ${reasonOf(error)}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
  return bytes.subarray(0, have);
}

/** Checks size and hash; a file that fails is removed, since resuming it would fail again. */
export async function verifyFile(
  path: string,
  expected: Pick<DownloadRequest, "bytes" | "sha256">,
): Promise<void> {
  const bytes = await sizeOf(path);
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  const sha256 = hash.digest("hex");
  if (bytes === expected.bytes && sha256 === expected.sha256) return;
  await rm(path, { force: true });
  throw new PyramidKVError(
    "BAD_FILE",
    `the download has ${bytes} bytes and SHA-256 ${sha256}, ${expected.bytes} and ${expected.sha256} were expected; it was removed, try again`,
  );
}

/** What is wrong with the folder or the disk, not with the connection. */
const FILE_CODES = ["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EISDIR", "ENOTDIR", "EIO"];

function isOfFiles(error: unknown): boolean {
  return FILE_CODES.includes((error as NodeJS.ErrnoException).code ?? "");
}

function asDownloadError(error: unknown, request: DownloadRequest, have: number): Error {
  if (error instanceof PyramidKVError) return error;
  const kept = `${have} of ${request.bytes} bytes are kept and the next run goes on from there`;
  if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
    return new PyramidKVError("BAD_FILE", `the disk is full: ${kept}`, { cause: error });
  }
  if (isOfFiles(error)) {
    const { message } = cannotWrite(request.path, error);
    return new PyramidKVError("BAD_FILE", `${message}; ${kept}`, { cause: error });
  }
  return new PyramidKVError("NETWORK", `${request.url}: ${reasonOf(error)}; ${kept}`, {
    cause: error,
  });
}

/** Whether there is a file or folder at `path`. */
export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A first question that is not answered in this time means out of reach. */
const FIRST_ANSWER_MS = 15_000;

/** The caller's signal, with a limit on how long a first answer may take. */
export function withTimeout(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(FIRST_ANSWER_MS);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

/** The reason in an error of `fetch`, which hides it in the cause. */
export function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
}

/** What an HTTP status means to someone who wants a model. */
export function explain(status: number): string {
  if (status === 401 || status === 403) {
    return `${status}: no access; set HF_TOKEN to a token that may read it`;
  }
  return status === 404 ? "404: not found" : String(status);
}

export async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0;
  }
}
