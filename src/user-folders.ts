import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** A variable of the environment; one that is set but empty counts as unset. */
export function environmentVariable(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value.trim() === "" ? undefined : value;
}

/** The user's cache folder: `XDG_CACHE_HOME` where it is an absolute path, as its specification wants, or `~/.cache`. */
export function userCacheFolder(): string {
  const folder = environmentVariable("XDG_CACHE_HOME");
  return folder !== undefined && isAbsolute(folder) ? folder : join(homedir(), ".cache");
}

/** What pyramidkv keeps for itself, profiles and models that do not come from the hub: `PYRAMIDKV_CACHE`, or below the user's cache folder. */
export function ownCacheFolder(): string {
  return environmentVariable("PYRAMIDKV_CACHE") ?? join(userCacheFolder(), "pyramidkv");
}

/** Where the hub's own tools keep models: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME`, or the user's cache folder. */
export function hubCacheFolder(): string {
  return (
    environmentVariable("HF_HUB_CACHE") ??
    environmentVariable("HUGGINGFACE_HUB_CACHE") ??
    join(environmentVariable("HF_HOME") ?? join(userCacheFolder(), "huggingface"), "hub")
  );
}
