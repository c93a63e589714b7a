import { resolveCompression } from "../compression/resolve.ts";
import type { Engine, SessionOptions } from "./engine.ts";

/** Ways to compress in groups that one prefill can serve: a probe after the prompt, or layers that carry tokens on, change it. */
export function sharingPrefill<T extends { readonly options: SessionOptions }>(
  engine: Engine,
  ways: readonly T[],
): T[][] {
  const groups = new Map<string, T[]>();
  for (const way of ways) {
    const { probe, carries } = resolveCompression(way.options, engine.profile).method;
    const key = `${probe ?? ""} ${carries ?? ""}`;
    groups.set(key, [...(groups.get(key) ?? []), way]);
  }
  return [...groups.values()];
}
