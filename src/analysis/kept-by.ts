import type { Engine } from "../engine/engine.ts";
import { sessionCompression, type SessionOptions } from "../engine/session-options.ts";
import type { PrefillOptions, Session } from "../engine/session.ts";
import { PyramidKVError } from "../errors.ts";
import { readTogether } from "../measure/read-together.ts";

/** A method with its size and options. */
export type KeptWay = SessionOptions & { readonly method: string };

/** Throws `USAGE` on a way that moves or merges tokens: what it holds is not some of them as they were. */
export function requireKeepsTokens(ways: readonly KeptWay[]): void {
  for (const way of ways) {
    const { rerotates, merges } = sessionCompression(way).recipe;
    if (rerotates !== true && merges === undefined) continue;
    throw new PyramidKVError(
      "USAGE",
      `${way.method} ${rerotates === true ? "moves" : "merges"} tokens; only methods that keep tokens as they are can be looked at`,
    );
  }
}

/** Positions that each way keeps in the layers that methods act on: [ways][nLayer][nHeadKv]. */
export async function keptBy(
  engine: Engine,
  tokens: readonly number[],
  ways: readonly KeptWay[],
  { signal, onProgress }: PrefillOptions,
): Promise<Int32Array[][][]> {
  const kept: Int32Array[][][] = [];
  const placed = ways.map((options, place) => ({ options, place }));
  await readTogether(engine, tokens, placed, { signal, onProgress }, ({ way, sessions }) => {
    const { cache } = sessions[0] as Session;
    const layers = cache.layers.filter(({ window }) => window === undefined);
    kept[way.place] = layers.map((layer) => layer.heads.map((_, h) => layer.positions(h)));
  });
  return kept;
}
