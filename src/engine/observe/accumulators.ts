import type { AttentionKind, SummedKind } from "../../compression/evidence.ts";
import { FAR } from "../../compression/evidence.ts";
import type { Chunk } from "./layer-observer.ts";

/** Attention that tokens receive, gathered chunk by chunk while a layer is computed. */
export interface Accumulation {
  /** Only attention from at least this many tokens away counts. */
  readonly distance: number;
  /** Whether the largest is taken instead of the sum. */
  readonly peaks: boolean;
  /** Whose queries count. */
  readonly of: Chunk["of"];
  /** The part of them that does, spread evenly. */
  readonly share: number;
}

/** Samples are the last queries of every stretch, and of the prompt. */
const STRETCH = 256;
const SAMPLED = 64;

const ALL = { distance: 0, peaks: false, of: "prompt", share: 1 } as const;
const SAMPLE = { ...ALL, share: SAMPLED / STRETCH } as const;

/** How each kind of evidence that many queries add to is gathered. */
export const ACCUMULATIONS: Readonly<Record<Exclude<AttentionKind, "window">, Accumulation>> = {
  sums: ALL,
  "far-sums": { ...ALL, distance: FAR },
  "sampled-sums": SAMPLE,
  "sampled-far-sums": { ...SAMPLE, distance: FAR },
  peaks: { ...ALL, peaks: true, of: "probe" },
};

export type AccumulatedKind = keyof typeof ACCUMULATIONS;

/** Neighbouring queries `[first, first + n)`. */
export interface Span {
  readonly first: number;
  readonly n: number;
}

/** Which of a prompt's `n` tokens are asked for what they attend to. */
export function queriesOfKind(kind: AccumulatedKind, n: number): Span[] {
  if (ACCUMULATIONS[kind].share === 1) return [{ first: 0, n }];
  const whole = Math.floor(Math.max(0, n - SAMPLED) / STRETCH);
  const spans = Array.from({ length: whole }, (_, i) => ({
    first: (i + 1) * STRETCH - SAMPLED,
    n: SAMPLED,
  }));
  return [...spans, { first: Math.max(0, n - SAMPLED), n: Math.min(n, SAMPLED) }];
}

/** The parts of spans that lie in `[first, first + n)`, counted from `first`. */
export function within(spans: readonly Span[], first: number, n: number): Span[] {
  return spans.flatMap((span) => {
    const from = Math.max(first, span.first);
    const length = Math.min(first + n, span.first + span.n) - from;
    return length > 0 ? [{ first: from - first, n: length }] : [];
  });
}

/** How many of the summed queries could add to each of `n` tokens, of which the last `nNew` were asked. */
export function counted(kind: SummedKind, n: number, nNew: number): Float32Array {
  const { distance } = ACCUMULATIONS[kind];
  // Queries asked from each new token on.
  const after = new Float32Array(nNew + 1);
  for (const { first, n: length } of queriesOfKind(kind, nNew)) {
    after.fill(1, first, first + length);
  }
  for (let i = nNew - 1; i >= 0; i--) after[i] = (after[i] as number) + (after[i + 1] as number);
  return Float32Array.from({ length: n }, (_, j) => {
    const from = Math.max(0, j + distance - (n - nNew));
    return after[Math.min(from, nNew)] as number;
  });
}
