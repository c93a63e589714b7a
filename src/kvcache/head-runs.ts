import type { HeadRange } from "../models/blocks/attention.ts";

/** Neighbouring kv heads that hold equally many tokens before a prefill. */
export interface HeadRun extends HeadRange {
  /** Tokens that each of them holds already. */
  readonly nPast: number;
}

/** Groups kv heads by how many tokens they hold, keeping their order. */
export function headRuns(pastPerHead: readonly number[]): HeadRun[] {
  return neighbours(pastPerHead, (a, b) => a === b).map(({ first: nPast, ...range }) => {
    return { ...range, nPast };
  });
}

/** Stretches of heads of which each is like the first one. */
export function neighbours<T>(
  heads: readonly T[],
  areAlike: (first: T, other: T) => boolean,
): (HeadRange & { readonly first: T })[] {
  const groups: (HeadRange & { readonly first: T })[] = [];
  heads.forEach((head, h) => {
    const last = groups.at(-1);
    if (last !== undefined && areAlike(last.first, head)) {
      groups[groups.length - 1] = { ...last, nHeadKv: last.nHeadKv + 1 };
    } else {
      groups.push({ firstHead: h, nHeadKv: 1, first: head });
    }
  });
  return groups;
}

/** Query heads that attend to a run's kv heads. */
export function queryHeads(
  run: Pick<HeadRange, "nHeadKv">,
  layer: { readonly nHead: number; readonly nHeadKv: number },
): number {
  return (run.nHeadKv * layer.nHead) / layer.nHeadKv;
}
