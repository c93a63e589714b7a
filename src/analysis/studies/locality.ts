import { Means } from "../means.ts";
import type { QueryRow, Study, StudyContext } from "../study.ts";
import { SINKS } from "./funnel.ts";

/** Sliding windows that are tried, in tokens, a query's own included. */
export const WINDOWS = [64, 128, 256, 512, 1024] as const;
/** Stretches of the text that positions are told by. */
const POSITIONS = 64;

/** Where attention goes, averaged over the sampled queries. All masses are shares, 0 to 1. */
export interface Locality {
  /** The least distance of each bucket, 0 (the query's own key), 1, 2, 4, 8 …; the next one's ends it. */
  readonly distances: readonly number[];
  /** [nLayer][nHead][distances] */
  readonly byDistance: readonly (readonly (readonly number[])[])[];
  /** Tokens of each stretch of positions; the last may have fewer. */
  readonly stretch: number;
  /** Mass on each stretch of absolute positions, from the text's start: [nLayer][nHead][stretches]. */
  readonly byPosition: readonly (readonly (readonly number[])[])[];
  readonly windows: readonly number[];
  /** Mass that neither a window of so many tokens nor the first 4 tokens hold: [nLayer][nHead][windows]. */
  readonly outside: readonly (readonly (readonly number[])[])[];
}

/** How far away, and where in the text, attention goes. */
export function locality({ nLayer, nHead, n }: StudyContext): Study<Locality> {
  const buckets = bucketOf(n - 1) + 1;
  const stretch = Math.ceil(n / POSITIONS);
  const byDistance = new Means(nLayer, nHead, buckets);
  const byPosition = new Means(nLayer, nHead, Math.ceil(n / stretch));
  const outside = new Means(nLayer, nHead, WINDOWS.length);
  return {
    row: ({ il, head, weights }: QueryRow) => {
      const last = weights.length - 1;
      const distances = byDistance.next(il, head);
      const positions = byPosition.next(il, head);
      const beyond = outside.next(il, head);
      for (let j = 0; j <= last; j++) {
        const w = weights[j] as number;
        const bucket = bucketOf(last - j);
        distances[bucket] = (distances[bucket] as number) + w;
        const place = Math.floor(j / stretch);
        positions[place] = (positions[place] as number) + w;
        if (j < SINKS) continue;
        for (let i = 0; i < WINDOWS.length; i++) {
          if (last - j < (WINDOWS[i] as number)) break;
          beyond[i] = (beyond[i] as number) + w;
        }
      }
    },
    result: () => ({
      distances: Array.from({ length: buckets }, (_, i) => (i === 0 ? 0 : 2 ** (i - 1))),
      byDistance: byDistance.means(),
      stretch,
      byPosition: byPosition.means(),
      windows: WINDOWS,
      outside: outside.means(),
    }),
  };
}

/** 0, then one bucket for each power of two. */
function bucketOf(distance: number): number {
  return 32 - Math.clz32(distance);
}

/** Layers that a sliding window of so many tokens serves: at most so much of their attention lies outside, sinks apart. */
export function localLayers(
  { windows, outside }: Pick<Locality, "windows" | "outside">,
  window: number,
  most: number,
): number[] {
  const at = windows.indexOf(window);
  return outside.flatMap((heads, il) => (heads.every((own) => (own[at] ?? 1) <= most) ? [il] : []));
}
