import type { Ranked } from "./ranked.ts";
import type { QuerySample } from "./sample.ts";

/** The shape of what is studied. */
export interface StudyContext {
  /** Layers that methods act on: those without a sliding window. */
  readonly nLayer: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
  /** Tokens of the text. */
  readonly n: number;
  readonly sample: QuerySample;
  /** What a token of the text reads as. */
  readonly tokenText: (position: number) => string;
}

/** What one query of one head attends to. Arrays are of use until the next kv head. */
export interface AttentionRow {
  readonly il: number;
  /** Query head. */
  readonly head: number;
  readonly kvHead: number;
  /** Index of its token. */
  readonly query: number;
  /** Over the keys that it sees: [query + 1]. They sum to 1. */
  readonly weights: Float32Array;
  /** What attention gives it: [headDim]. */
  readonly output: Float32Array;
  /** Values of the kv head: [headDim, n]. */
  readonly values: Float32Array;
}

/** The same with its weights ranked, which is of use until the next row. */
export interface QueryRow extends AttentionRow {
  readonly ranked: Ranked;
}

/** A kv head and the last queries of the text, which one set of the tokens before them must serve. */
export interface NextQueries {
  readonly il: number;
  readonly kvHead: number;
  /** Tokens before the first of them. */
  readonly before: number;
  /** Each of them for each query head of the group. */
  readonly rows: readonly AttentionRow[];
  /** The tokens before, by the attention that these queries give them together, highest first: [before]. */
  readonly best: Int32Array;
}

/** Gathers something of a model's attention, layer by layer. */
export interface Study<T> {
  /** Takes a query that is spread over the text. */
  row?(row: QueryRow): void;
  /** Takes a kv head's last queries. */
  next?(next: NextQueries): void;
  result(): T;
}
