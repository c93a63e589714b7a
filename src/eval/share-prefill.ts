import { resolveCompression } from "../compression/resolve.ts";
import type { Engine, SessionOptions } from "../engine/engine.ts";

/** Ways to run in groups whose methods can share a prefill, in their order. */
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
