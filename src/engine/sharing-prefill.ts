import type { Engine } from "./engine.ts";
import { sessionCompression, type SessionOptions } from "./session-options.ts";

/** Ways to compress in groups that one prefill can serve: a probe after the prompt, or layers that carry tokens on, change it. */
export function sharingPrefill<T extends { readonly options: SessionOptions }>(
  engine: Engine,
  ways: readonly T[],
): T[][] {
  const groups = new Map<string, T[]>();
  for (const way of ways) {
    const { probe, carries } = sessionCompression(way.options, engine.profile).method;
    const key = `${probe ?? ""} ${carries ?? ""}`;
    groups.set(key, [...(groups.get(key) ?? []), way]);
  }
  return [...groups.values()];
}
