import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../../shared/", import.meta.url));

/**
 * The path of test material that is not part of the repository, or undefined where it is absent: then
 * the test skips and says so. With `PYRAMIDKV_REQUIRE_SHARED=1`, as in CI, absence is an error.
 */
export function sharedPath(name: string): string | undefined {
  const path = `${FOLDER}${name}`;
  if (existsSync(path)) return path;
  if (process.env.PYRAMIDKV_REQUIRE_SHARED === "1") throw new Error(`${path} is missing`);
  console.warn(`SKIPPED: ${name} is not part of the repository and is not beside it`);
  return undefined;
}
