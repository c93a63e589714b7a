import { PyramidKVError, requireInteger } from "../errors.ts";

/** Fewer tokens show nothing. */
const LEAST_TOKENS = 16;

/** Throws `USAGE` on a text of fewer than 16 tokens. */
export function requireText(n: number, name = "the text"): void {
  if (n >= LEAST_TOKENS) return;
  throw new PyramidKVError("USAGE", `${name} has ${n} tokens; at least ${LEAST_TOKENS} are needed`);
}

export interface SampleOptions {
  /** Queries spread evenly over the text, which averages are over; all where the text has no more. Defaults to 64. */
  readonly spread?: number;
  /** The last queries, which one set of the tokens before them must serve. Defaults to 64, at most half of the text. */
  readonly next?: number;
}

/** Which of a text's queries are looked at. */
export interface QuerySample {
  /** Indices of tokens, ascending. */
  readonly queries: Int32Array;
  /** Places in `queries` of those that are spread over the text. */
  readonly spread: readonly number[];
  /** Places in `queries` of the last ones. */
  readonly next: readonly number[];
}

/** Queries spread evenly over a text of `n` tokens, and its last ones. Throws `USAGE` on sizes below 1. */
export function sampleQueries(n: number, options: SampleOptions = {}): QuerySample {
  const count = Math.min(n, requireInteger("spread", options.spread ?? 64, 1));
  const last = Math.min(n >> 1, requireInteger("next", options.next ?? 64, 1));
  const spread = Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * n) / count));
  const next = Array.from({ length: last }, (_, i) => n - last + i);
  const positions = Int32Array.from(new Set([...spread, ...next])).sort();
  const places = (of: readonly number[]) => of.map((query) => positions.indexOf(query));
  return { queries: positions, spread: places(spread), next: places(next) };
}
