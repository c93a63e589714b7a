import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseProfile, type HeadProfile } from "../compression/profile.ts";
import { PyramidKVError } from "../errors.ts";

/** Profiles that come with the package. */
const PACKAGED = fileURLToPath(new URL("../../assets/profiles", import.meta.url));

function ownFolder(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "pyramidkv", "profiles");
}

/** What was calibrated for a model: here, or before this package was made. Damaged files count as none. */
export async function findProfile(model: string): Promise<HeadProfile | undefined> {
  for (const folder of [ownFolder(), PACKAGED]) {
    try {
      return await readProfile(join(folder, `${model}.json`));
    } catch {
      // There is none, or it is no profile: the next place, or budgets from the prompt.
    }
  }
  return undefined;
}

/** A profile from a file; throws `BAD_FILE` with what is wrong. */
export async function readProfile(path: string): Promise<HeadProfile> {
  try {
    return parseProfile(await readFile(path, "utf8"), path);
  } catch (error) {
    if (error instanceof PyramidKVError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new PyramidKVError("BAD_FILE", `${path} cannot be read (${code})`, { cause: error });
  }
}

/**
 * Puts a profile where the engine finds it, or at `path`; whole or not at all.
 *
 * @returns where it is
 */
export async function saveProfile(profile: HeadProfile, path?: string): Promise<string> {
  const target = path ?? join(ownFolder(), `${profile.model}.json`);
  try {
    if (path === undefined) await mkdir(ownFolder(), { recursive: true });
    const unfinished = `${target}.${process.pid}.part`;
    await writeFile(unfinished, `${JSON.stringify(profile)}\n`);
    await rename(unfinished, target);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new PyramidKVError("BAD_FILE", `${target} cannot be written (${code})`, { cause: error });
  }
  return target;
}
