import { resolveCompression } from "../compression/resolve.ts";
import type { Engine, SessionOptions } from "../engine/engine.ts";
import type { PrefillOptions, Session } from "../engine/session.ts";
import { sharingPrefill } from "../engine/sharing-prefill.ts";
import { PyramidKVError } from "../errors.ts";

/** A method with its size and options. */
export type KeptWay = SessionOptions & { readonly method: string };

/** Throws where kept tokens are given new positions, so that it cannot be told which they are. */
export function requireUnmoved(ways: readonly KeptWay[]): void {
  const moves = ways.find((way) => resolveCompression(way).method.rerotates === true);
  if (moves === undefined) return;
  throw new PyramidKVError(
    "USAGE",
    `${moves.method} moves tokens, so that it cannot be told which it keeps`,
  );
}

/** Positions that each way keeps: [ways][nLayer][nHeadKv]. */
export async function keptBy(
  engine: Engine,
  tokens: readonly number[],
  ways: readonly KeptWay[],
  { signal, onProgress }: PrefillOptions,
): Promise<Int32Array[][][]> {
  const groups = sharingPrefill(
    engine,
    ways.map((options, place) => ({ options, place })),
  );
  const kept: Int32Array[][][] = [];
  for (const [i, group] of groups.entries()) {
    const sessions = group.map(({ options }) => engine.createSession(options));
    try {
      await engine.prefillTogether(sessions, tokens, {
        ...(signal && { signal }),
        onProgress: (share) => onProgress?.((i + share) / groups.length),
      });
      group.forEach(({ place }, own) => {
        const { layers } = (sessions[own] as Session).cache;
        kept[place] = layers.map((layer) => layer.heads.map((_, h) => layer.positions(h)));
      });
    } finally {
      for (const session of sessions) session[Symbol.dispose]();
    }
  }
  return kept;
}
