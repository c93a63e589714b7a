import { COMPRESSION_OPTIONS } from "../compression/option-table.ts";
import type { Compression } from "../compression/resolve.ts";
import type { OptionSpec } from "../options.ts";
import type { SamplingFlags } from "./options.ts";
import { note, style } from "./terminal.ts";

/** What chooses among tokens by chance: without effect where the likeliest is always taken. */
const BY_CHANCE = { topK: "--top-k", topP: "--top-p", minP: "--min-p", seed: "--seed" } as const;

/** Names the options that were given and have no effect, each with why. */
export function noteUnused(
  flags: SamplingFlags & { readonly kept?: boolean; readonly json?: boolean },
  { unused, method }: Compression,
): void {
  for (const text of [
    ...unused.map((name) => `${flagOf(name)} has no effect on ${method.name}`),
    ...unusedByChance(flags).map((flag) => `${flag} has no effect at temperature 0`),
    ...(flags.kept === true && flags.json !== true ? ["--kept has no effect without --json"] : []),
  ]) {
    note(style("yellow", `note: ${text}`));
  }
}

/** An option as it was given: `--kv-size` for `kvSize`. */
function flagOf(name: string): string {
  const { flag } = COMPRESSION_OPTIONS[name as keyof typeof COMPRESSION_OPTIONS] as OptionSpec;
  return flag?.split(" ")[0] ?? name;
}

function unusedByChance(flags: SamplingFlags): string[] {
  if ((flags.temperature ?? 0) > 0) return [];
  return Object.entries(BY_CHANCE).flatMap(([name, flag]) =>
    flags[name as keyof typeof BY_CHANCE] === undefined ? [] : [flag],
  );
}
