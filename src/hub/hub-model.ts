import { copyFile, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { getRepoFolderName, HubApiError, listFiles, type ListFileEntry } from "@huggingface/hub";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import { makeFolder } from "../files.ts";
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

  const files = await listAll(model.repo, options.signal);
  const file = chooseFile(model, files, (f) => f.path);
  if (file.lfs === undefined) {
    throw new PyramidKVError("UNSUPPORTED", `${model.repo}/${file.path} has no SHA-256 on the hub`);
  }
  const folder = repoFolder(model.repo);
  const commit = await headCommit(model.repo, options.signal);
  const blob = join(folder, "blobs", file.lfs.oid);
  const snapshot = join(folder, "snapshots", commit, file.path);
  if (!(await exists(blob))) {
    options.onNote?.(`fetching ${model.repo}/${file.path} from ${hubUrl()}`);
    await download({
      ...options,
      url: fileUrl(model.repo, file.path),
      headers: authorization(),
      path: blob,
      bytes: file.lfs.size,
      sha256: file.lfs.oid,
    });
  }
  await makeFolder(dirname(snapshot));
  if (!(await exists(snapshot))) await linkOrCopy(blob, snapshot);
  await makeFolder(join(folder, "refs"));
  await writeFile(join(folder, "refs", REVISION), commit);
  return snapshot;
}

/** A model's file on the hub, of which only what is asked for is fetched. */
export interface RemoteFile {
  readonly name: string;
  readonly bytes: number;
  /** Its first bytes, as many as asked for. */
  read(size: number): Promise<Uint8Array>;
}

/** A hub model's file, without fetching it. */
export async function remoteHubModel(model: HubModel, signal?: AbortSignal): Promise<RemoteFile> {
  const file = chooseFile(model, await listAll(model.repo, signal), (f) => f.path);
  const url = fileUrl(model.repo, file.path);
  return {
    name: `${model.repo}/${file.path}`,
    bytes: file.size,
    read: (size) => fetchStart({ url, headers: authorization(), size, signal }),
  };
}

/** The path of a hub model that is in the cache already; no network is asked. */
export async function cachedHubModel(model: HubModel): Promise<string | undefined> {
  const folder = repoFolder(model.repo);
  try {
    const commit = (await readFile(join(folder, "refs", REVISION), "utf8")).trim();
    const snapshot = join(folder, "snapshots", commit);
    const file = chooseFile(model, await readdir(snapshot, { recursive: true }), (f) => f);
    // A link to what is gone is no file.
    return (await exists(join(snapshot, file))) ? join(snapshot, file) : undefined;
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
