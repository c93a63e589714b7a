import { Means, single } from "../means.ts";
import type { QueryRow, Study, StudyContext } from "../study.ts";
import { SINKS } from "./funnel.ts";

/** Sliding windows that are tried, in tokens, a query's own included, where the text is longer. */
const WINDOWS = [64, 128, 256, 512, 1024] as const;
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
  /**
   * Mass outside of both a window of each size and the first 4 tokens, of queries that see others:
   * [nLayer][nHead][windows].
   */
  readonly outside: readonly (readonly (readonly number[])[])[];
}

/** How far away, and where in the text, attention goes. */
export function locality({ nLayer, nHead, n, sample }: StudyContext): Study<Locality> {
  const buckets = bucketOf(n - 1) + 1;
  const stretch = Math.ceil(n / POSITIONS);
  const byDistance = new Means(nLayer, nHead, buckets);
  const byPosition = new Means(nLayer, nHead, Math.ceil(n / stretch));
  const last = Math.max(...sample.spread.map((at) => sample.queries[at] as number));
  const windows = WINDOWS.filter((window) => seesBeyond(last, window));
  const outside = windows.map(() => new Means(nLayer, nHead, 1));
  return {
    row: ({ il, head, weights }: QueryRow) => {
      const last = weights.length - 1;
      const distances = byDistance.next(il, head);
      const positions = byPosition.next(il, head);
      for (let j = 0; j <= last; j++) {
        const w = weights[j] as number;
        const bucket = bucketOf(last - j);
        distances[bucket] = (distances[bucket] as number) + w;
        const place = Math.floor(j / stretch);
        positions[place] = (positions[place] as number) + w;
      }
      let beyond = 0;
      let j = SINKS;
      for (let i = windows.length - 1; i >= 0; i--) {
        const window = windows[i] as number;
        if (!seesBeyond(last, window)) continue;
        for (; j <= last - window; j++) beyond += weights[j] as number;
        outside[i]?.add(il, head, [beyond]);
      }
    },
    result: () => ({
      distances: Array.from({ length: buckets }, (_, i) => (i === 0 ? 0 : 2 ** (i - 1))),
      byDistance: byDistance.means(),
      stretch,
      byPosition: byPosition.means(),
      windows,
      outside: byHead(nLayer, nHead, outside),
    }),
  };
}

/** Whether a query sees a token beyond a window and the sinks. */
function seesBeyond(query: number, window: number): boolean {
  return query >= window + SINKS;
}

/** The one number of each, [nLayer][nHead][all]. */
function byHead(nLayer: number, nHead: number, means: readonly Means[]): number[][][] {
  const each = means.map((layerMeans) => single(layerMeans.means()));
  return Array.from({ length: nLayer }, (_, il) =>
    Array.from({ length: nHead }, (_, head) => each.map((values) => values[il]?.[head] as number)),
  );
}

/** 0, then one bucket for each power of two. */
function bucketOf(distance: number): number {
  return 32 - Math.clz32(distance);
}

/** Layers that a sliding window serves: at most a share `most` of their attention lies outside it, sinks apart. */
export function localLayers(
  { windows, outside }: Pick<Locality, "windows" | "outside">,
  window: number,
  most: number,
): number[] {
  const at = windows.indexOf(window);
  return outside.flatMap((heads, il) =>
    heads.every((head) => (head[at] ?? 1) <= most) ? [il] : [],
  );
}
