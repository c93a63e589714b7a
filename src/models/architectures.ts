import { PyramidKVError } from "../errors.ts";
import { required, type Metadata } from "../gguf/metadata.ts";
import type { Architecture } from "./architecture.ts";
import { llama } from "./llama.ts";

/** Every architecture that the engine runs, by `general.architecture`. */
export const ARCHITECTURES = { llama } as const satisfies Record<string, Architecture>;

/** The architecture of a file; throws `UNSUPPORTED` with the known ones. */
export function architectureOf(metadata: Metadata): Architecture {
  const key = "general.architecture";
  const name = required(metadata.string(key), key);
  const found = Object.values(ARCHITECTURES).find((a) => a.name === name);
  if (found === undefined) {
    const names = Object.keys(ARCHITECTURES).join(", ");
    throw new PyramidKVError("UNSUPPORTED", `unknown architecture "${name}"; known: ${names}`);
  }
  return found;
}
