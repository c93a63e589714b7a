import type { AttentionKind } from "../compression/evidence.ts";
import { FAR } from "../compression/methods/funnel.ts";

/** Attention that tokens receive, gathered chunk by chunk while a layer is computed. */
export interface Accumulation {
  /** Only attention from at least so many tokens away counts. */
  readonly distance: number;
  /** Whether the largest is taken instead of the sum. */
  readonly peaks: boolean;
  /** Whose queries count. */
  readonly of: "prompt" | "probe";
}

/** How each kind of evidence that all queries add to is gathered. */
export const ACCUMULATIONS: Readonly<Record<Exclude<AttentionKind, "window">, Accumulation>> = {
  sums: { distance: 0, peaks: false, of: "prompt" },
  "far-sums": { distance: FAR, peaks: false, of: "prompt" },
  peaks: { distance: 0, peaks: true, of: "probe" },
};

export type AccumulatedKind = keyof typeof ACCUMULATIONS;
