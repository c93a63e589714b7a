import { copyFile, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { getRepoFolderName, HubApiError, listFiles, type ListFileEntry } from "@huggingface/hub";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import { makeFolder } from "../files.ts";
import { partNames } from "../gguf/split.ts";
import { hubCacheFolder } from "../user-folders.ts";
import { authorization, hubToken, hubUrl } from "./address.ts";
import { chooseFile, type HubModel } from "./choose-file.ts";
import {
  download,
  exists,
  explain,
  fetchStart,
  reasonOf,
  withTimeout,
  type FetchOptions,
} from "./download.ts";

const REVISION = "main";

/** The path of a hub model in the standard cache folder, downloaded first if it is not there. */
export async function fetchHubModel(model: HubModel, options: FetchOptions): Promise<string> {
  const cached = await cachedHubModel(model);
  if (cached !== undefined) return cached;

  const listed = await listAll(model.repo, options.signal);
  const files = partsOf(model, listed).map((file) => withHash(model, file));
  const commit = await headCommit(model.repo, options.signal);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let before = 0;
  for (const file of files) {
    const done = before;
    const onProgress = (bytes: number) => options.onProgress?.(done + bytes, total);
    await fetchFile(model, file, commit, { ...options, onProgress });
    before += file.bytes;
  }
  const folder = repoFolder(model.repo);
  await makeFolder(join(folder, "refs"));
  await writeFile(join(folder, "refs", REVISION), commit);
  return join(folder, "snapshots", commit, (files[0] as HashedFile).path);
}

interface HashedFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** The model's files on the hub: one, or all parts in order. */
function partsOf(model: HubModel, listed: readonly ListFileEntry[]): ListFileEntry[] {
  const first = chooseFile(model, listed, (f) => f.path);
  return partNames(first.path).map((path) => {
    const file = listed.find((f) => f.path === path);
    if (file !== undefined) return file;
    throw new PyramidKVError("BAD_FILE", `${model.repo} has ${first.path}, but not ${path}`);
  });
}

function withHash({ repo }: HubModel, { path, lfs }: ListFileEntry): HashedFile {
  if (lfs !== undefined) return { path, sha256: lfs.oid, bytes: lfs.size };
  throw new PyramidKVError("UNSUPPORTED", `${repo}/${path} has no SHA-256 on the hub`);
}

/** Fetches a file into the cache's folder of its commit, unless it is there. */
async function fetchFile(
  { repo }: HubModel,
  { path, sha256, bytes }: HashedFile,
  commit: string,
  options: FetchOptions,
): Promise<void> {
  const folder = repoFolder(repo);
  const blob = join(folder, "blobs", sha256);
  const snapshot = join(folder, "snapshots", commit, path);
  if (!(await exists(blob))) {
    options.onNote?.(`fetching ${repo}/${path} from ${hubUrl()}`);
    const url = fileUrl(repo, path);
    await download({ ...options, url, headers: authorization(), path: blob, bytes, sha256 });
  }
  await makeFolder(dirname(snapshot));
  if (!(await exists(snapshot))) await linkOrCopy(blob, snapshot);
}

/** A model's file on the hub, of which only what is asked for is fetched. */
export interface RemoteFile {
  readonly name: string;
  readonly bytes: number;
  /** Its first bytes, as many as asked for. */
  read(size: number): Promise<Uint8Array>;
}

/** A hub model's file, or its parts, without fetching them. */
export async function remoteHubModel(
  model: HubModel,
  signal?: AbortSignal,
): Promise<readonly RemoteFile[]> {
  return partsOf(model, await listAll(model.repo, signal)).map(({ path, size: bytes }) => ({
    name: `${model.repo}/${path}`,
    bytes,
    read: (size) =>
      fetchStart({ url: fileUrl(model.repo, path), headers: authorization(), size, signal }),
  }));
}

/** The path of a hub model that is in the cache already; no network is asked. */
export async function cachedHubModel(model: HubModel): Promise<string | undefined> {
  const folder = repoFolder(model.repo);
  try {
    const commit = (await readFile(join(folder, "refs", REVISION), "utf8")).trim();
    const snapshot = join(folder, "snapshots", commit);
    const file = chooseFile(model, await readdir(snapshot, { recursive: true }), (f) => f);
    // A link to what is gone is no file.
    const areHere = await Promise.all(partNames(file).map((name) => exists(join(snapshot, name))));
    return areHere.every(Boolean) ? join(snapshot, file) : undefined;
  } catch {
    return undefined;
  }
}

/** The commit that the cache's snapshot folder is named after: the head of the branch. */
async function headCommit(repo: string, signal?: AbortSignal): Promise<string> {
  const response = await fetch(`${hubUrl()}/api/models/${repo}/revision/${REVISION}`, {
    headers: authorization(),
    signal: withTimeout(signal),
  });
  const { sha } = (response.ok ? await response.json() : {}) as { sha?: unknown };
  if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha)) {
    const answer = explain(response.status);
    throw new PyramidKVError("NETWORK", `${hubUrl()}/${repo} gave no commit (${answer})`);
  }
  return sha;
}

/** A link as the hub's own tools make it; a copy where the system allows no links. */
async function linkOrCopy(blob: string, snapshot: string): Promise<void> {
  try {
    await symlink(relative(dirname(snapshot), blob), snapshot);
  } catch {
    await copyFile(blob, snapshot);
  }
}

async function listAll(repo: string, signal?: AbortSignal): Promise<ListFileEntry[]> {
  const token = hubToken();
  const files: ListFileEntry[] = [];
  try {
    for await (const file of listFiles({
      repo,
      revision: REVISION,
      recursive: true,
      hubUrl: hubUrl(),
      fetch: (url, init) => fetch(url, { ...init, signal: withTimeout(signal) }),
      ...(token ? { accessToken: token } : {}),
    })) {
      if (file.type === "file") files.push(file);
    }
  } catch (error) {
    const where = `${hubUrl()}/${repo}`;
    if (error instanceof HubApiError) {
      const answer = explain(error.statusCode);
      throw new PyramidKVError("NETWORK", `${where} answered ${answer}`, { cause: error });
    }
    throwIfAborted(signal);
    throw new PyramidKVError("NETWORK", `${where} is out of reach: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  return files;
}

function repoFolder(repo: string): string {
  return join(hubCacheFolder(), getRepoFolderName({ type: "model", name: repo }));
}

function fileUrl(repo: string, path: string): string {
  return `${hubUrl()}/${repo}/resolve/${REVISION}/${encodeURI(path)}`;
}
