import { Means, overHeads, single } from "../means.ts";
import { prefixSums } from "../ranked.ts";
import { narrowsAt } from "../narrowing.ts";
import type { NextQueries, QueryRow, Study, StudyContext } from "../study.ts";

/** Sizes that the covered mass is told of. */
export const TOP_KS = [8, 16, 32, 64, 128, 256, 512, 1024, 2048] as const;
/** Shares of the keys that a query sees, that the covered mass is told of. */
export const TOP_SHARES = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2] as const;
/** First tokens that count as sinks, and newest ones, a query's own included, that count as its window. */
export const SINKS = 4;
export const WINDOW = 8;

/** How concentrated attention is, averaged over the sampled queries. All masses are shares, 0 to 1. */
export interface Funnel {
  readonly topKs: readonly number[];
  /** Mass on a query's own top K keys: [nLayer][nHead][topKs]. */
  readonly topMass: readonly (readonly (readonly number[])[])[];
  readonly topShares: readonly number[];
  /** Mass on the top share of the keys that a query sees, at least one: [nLayer][nHead][topShares]. */
  readonly topShareMass: readonly (readonly (readonly number[])[])[];
  /** −Σ w ln w, in nats: [nLayer][nHead]. */
  readonly entropy: readonly (readonly number[])[];
  /** e^entropy, averaged: how many keys equal weights would be spread over: [nLayer][nHead]. */
  readonly effectiveKeys: readonly (readonly number[])[];
  /** Mass on the first 4 tokens: [nLayer][nHead]. */
  readonly sinks: readonly (readonly number[])[];
  /** Mass on the newest 8 tokens: [nLayer][nHead]. */
  readonly window: readonly (readonly number[])[];
  /**
   * Of the mass that the text's last queries give to the tokens before them: what the best K tokens hold, one set for
   * all these queries and the query heads of a kv head, as a cache has: [nLayer][nHeadKv][topKs].
   */
  readonly reach: readonly (readonly (readonly number[])[])[];
  /** The layer from which on attention is narrower, if it narrows anywhere. */
  readonly narrowsAt: number | undefined;
}

/** How concentrated attention is, layer by layer. */
export function funnel({ nLayer, nHead, nHeadKv }: StudyContext): Study<Funnel> {
  const topMass = new Means(nLayer, nHead, TOP_KS.length);
  const topShareMass = new Means(nLayer, nHead, TOP_SHARES.length);
  const entropy = new Means(nLayer, nHead, 1);
  const effective = new Means(nLayer, nHead, 1);
  const sinks = new Means(nLayer, nHead, 1);
  const window = new Means(nLayer, nHead, 1);
  const reach = new Means(nLayer, nHeadKv, TOP_KS.length);
  return {
    row: ({ il, head, weights, ranked }: QueryRow) => {
      const n = weights.length;
      const sums = prefixSums(ranked.weights);
      const top = (k: number) => sums[Math.min(k, n)] as number;
      topMass.add(il, head, TOP_KS.map(top));
      topShareMass.add(
        il,
        head,
        TOP_SHARES.map((share) => top(Math.max(1, Math.round(share * n)))),
      );
      const nats = entropyOf(weights);
      entropy.add(il, head, [nats]);
      effective.add(il, head, [Math.exp(nats)]);
      sinks.add(il, head, [massWithin(weights, 0, Math.min(SINKS, n))]);
      window.add(il, head, [massWithin(weights, Math.max(0, n - WINDOW), n)]);
    },
    next: ({ il, kvHead, before, rows, best }: NextQueries) => {
      for (const { weights } of rows) {
        const total = massWithin(weights, 0, before);
        if (total === 0) continue;
        const sums = reach.next(il, kvHead);
        let mass = 0;
        let k = 0;
        TOP_KS.forEach((size, i) => {
          for (; k < Math.min(size, before); k++) mass += weights[best[k] as number] as number;
          sums[i] = (sums[i] as number) + mass / total;
        });
      }
    },
    result: () => {
      const effectiveKeys = single(effective.means());
      const byLayer = overHeads(effective.means()).map(([x]) => x as number);
      return {
        topKs: TOP_KS,
        topMass: topMass.means(),
        topShares: TOP_SHARES,
        topShareMass: topShareMass.means(),
        entropy: single(entropy.means()),
        effectiveKeys,
        sinks: single(sinks.means()),
        window: single(window.means()),
        reach: reach.means(),
        narrowsAt: narrowsAt(byLayer),
      };
    },
  };
}

function massWithin(weights: Float32Array, from: number, to: number): number {
  let sum = 0;
  for (let j = from; j < to; j++) sum += weights[j] as number;
  return sum;
}

function entropyOf(weights: Float32Array): number {
  let sum = 0;
  for (const w of weights) if (w > 0) sum -= w * Math.log(w);
  return sum;
}
