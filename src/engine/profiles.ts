import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseProfile, type HeadProfile } from "../compression/profile.ts";
import { makeFolder, readText, writeWhole } from "../files.ts";
import { ownCacheFolder } from "../user-folders.ts";

/** Profiles that come with the package. */
const PACKAGED = fileURLToPath(new URL("../../assets/profiles", import.meta.url));

const ownFolder = () => join(ownCacheFolder(), "profiles");

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
  return parseProfile(await readText(path), path);
}

/**
 * Puts a profile where the engine finds it, or at `path`; whole or not at all.
 *
 * @returns where it is
 */
export async function saveProfile(profile: HeadProfile, path?: string): Promise<string> {
  const target = path ?? join(ownFolder(), `${profile.model}.json`);
  if (path === undefined) await makeFolder(ownFolder());
  await writeWhole(target, `${JSON.stringify(profile)}\n`);
  return target;
}
