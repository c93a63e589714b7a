import { rename } from "node:fs/promises";
import { join } from "node:path";
import { HubApiError, pathsInfo } from "@huggingface/hub";
import { PyramidKVError, throwIfAborted } from "../errors.ts";
import { ownCacheFolder } from "../user-folders.ts";
import { authorization, hubToken, hubUrl } from "./address.ts";
import { download, exists, explain, reasonOf, withTimeout, type FetchOptions } from "./download.ts";
import { extract } from "./unzip.ts";

/** A file in a dataset repository on the hub. */
export interface DatasetFile {
  readonly repo: string;
  /** The path in the repository. */
  readonly path: string;
}

const REVISION = "main";

/**
 * The folder of an archive's files in our own cache: those that are asked for and are not there yet are taken out of
 * it, and it is fetched for that if need be.
 *
 * @param files in the archive, by the name that they get in the folder
 * @throws `NETWORK` where the hub is out of reach, `BAD_FILE` where the archive is not as expected
 */
export async function datasetFolder(
  archive: DatasetFile,
  files: Readonly<Record<string, string>>,
  options: FetchOptions = {},
): Promise<string> {
  const folder = folderOf(archive);
  const missing: [name: string, entry: string][] = [];
  for (const [name, entry] of Object.entries(files)) {
    if (!(await exists(join(folder, name)))) missing.push([name, entry]);
  }
  if (missing.length === 0) return folder;
  const zip = await datasetFile(archive, options);
  for (const [name, entry] of missing) {
    const partial = join(folder, `${name}.${process.pid}.incomplete`);
    await extract(zip, entry, partial);
    await rename(partial, join(folder, name));
  }
  return folder;
}

function folderOf({ repo }: DatasetFile): string {
  return join(ownCacheFolder(), "datasets", repo.replaceAll("/", "--"));
}

/**
 * The path of a dataset's file in our own cache, fetched if it is not there yet.
 *
 * @throws `NETWORK` where the hub is out of reach
 */
export async function datasetFile(file: DatasetFile, options: FetchOptions = {}): Promise<string> {
  const { repo, path } = file;
  const local = join(folderOf(file), path);
  if (await exists(local)) return local;
  const where = `${hubUrl()}/datasets/${repo}`;
  const token = hubToken();
  let found;
  try {
    [found] = await pathsInfo({
      repo: { type: "dataset", name: repo },
      paths: [path],
      revision: REVISION,
      hubUrl: hubUrl(),
      fetch: (url, init) => fetch(url, { ...init, signal: withTimeout(options.signal) }),
      ...(token ? { accessToken: token } : {}),
    });
  } catch (error) {
    throwIfAborted(options.signal);
    const why =
      error instanceof HubApiError
        ? `answered ${explain(error.statusCode)}`
        : `is out of reach: ${reasonOf(error)}`;
    throw new PyramidKVError("NETWORK", `${where} ${why}`, { cause: error });
  }
  if (found?.lfs === undefined) {
    throw new PyramidKVError("NETWORK", `${where} has no ${path} with a SHA-256`);
  }
  await download({
    ...options,
    url: `${where}/resolve/${REVISION}/${path}`,
    headers: authorization(),
    path: local,
    bytes: found.lfs.size,
    sha256: found.lfs.oid,
  });
  return local;
}
