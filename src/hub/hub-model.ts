import { copyFile, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import {
  getHFHubCachePath,
  getRepoFolderName,
  HubApiError,
  listFiles,
  type ListFileEntry,
} from "@huggingface/hub";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import { authorization, hubUrl } from "./address.ts";
import {
  download,
  exists,
  explain,
  fetchStart,
  makeFolder,
  reasonOf,
  withTimeout,
  type FetchOptions,
} from "./download.ts";

/** A model on the hub: `owner/repo`, and which of its GGUF files. */
export interface HubModel {
  readonly repo: string;
  /** Part of the file name, such as `Q4_K_M`. */
  readonly quant: string | undefined;
}

const REVISION = "main";
/** Which file to take when none is named, best first. */
const PREFERRED = ["Q4_K_M", "Q4_0", "Q4_1", "Q8_0", "F16"];

/** The path of a hub model in the standard cache folder, downloaded first if it is not there. */
export async function fetchHubModel(model: HubModel, options: FetchOptions): Promise<string> {
  const cached = await cachedHubModel(model);
  if (cached !== undefined) return cached;

  const files = await listGgufs(model.repo, options.signal);
  const file = choose(model, files, (f) => f.path);
  if (file.lfs === undefined) {
    throw new PyramidKVError("UNSUPPORTED", `${model.repo}/${file.path} has no SHA-256 on the hub`);
  }
  const folder = repoFolder(model.repo);
  const commit = await headCommit(model.repo, options.signal);
  const blob = join(folder, "blobs", file.lfs.oid);
  const snapshot = join(folder, "snapshots", commit, file.path);
  if (!(await exists(blob))) {
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
  const file = choose(model, await listGgufs(model.repo, signal), (f) => f.path);
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
    const files = (await readdir(snapshot, { recursive: true })).filter(isModelFile);
    const file = files.length === 0 ? undefined : choose(model, files, (f) => f);
    return file === undefined ? undefined : join(snapshot, file);
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

async function listGgufs(repo: string, signal?: AbortSignal): Promise<ListFileEntry[]> {
  const token = process.env.HF_TOKEN;
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
      if (file.type === "file" && isModelFile(file.path)) files.push(file);
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

/** The file that the name asks for; throws with the files there are. */
function choose<T>({ repo, quant }: HubModel, files: readonly T[], pathOf: (f: T) => string): T {
  const wanted = quant === undefined ? PREFERRED : [quant];
  for (const name of wanted) {
    const found = files.find((f) => pathOf(f).toLowerCase().endsWith(`${name.toLowerCase()}.gguf`));
    if (found !== undefined) return found;
  }
  const [only] = files;
  if (quant === undefined && files.length === 1 && only !== undefined) return only;
  const known = files.map(pathOf).join(", ") || "none";
  throw new PyramidKVError(
    "USAGE",
    `${repo} has no .gguf ${quant === undefined ? "that is preferred" : `for "${quant}"`}; its files: ${known}`,
  );
}

/** Whether a file is a whole model: not a vision projector, and not one part of several. */
function isModelFile(path: string): boolean {
  return path.endsWith(".gguf") && !/mmproj|-of-\d{5}\.gguf$/.test(path);
}

function repoFolder(repo: string): string {
  return join(getHFHubCachePath(), getRepoFolderName({ type: "model", name: repo }));
}

function fileUrl(repo: string, path: string): string {
  return `${hubUrl()}/${repo}/resolve/${REVISION}/${encodeURI(path)}`;
}
