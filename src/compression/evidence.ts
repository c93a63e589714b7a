/** Attention from nearer than this is not from far away: it goes to whatever is close. */
export const FAR = 64;

/** What a layer can be scored by. Prefill collects no more of it than the methods at hand need. */
export const EVIDENCE = {
  window: "attention of the last α tokens",
  sums: "attention of all tokens",
  "far-sums": "attention of all tokens from at least 64 tokens away",
  "sampled-sums": "attention of a sample of tokens",
  "sampled-far-sums": "attention of a sample of tokens from at least 64 tokens away",
  peaks: "the largest attention of any replayed token",
  keys: "the cached keys",
  "plain-keys": "the cached keys before rotation",
  values: "the cached values",
  queries: "mean and covariance of the queries",
  outputs: "what attention gives sampled queries, and would give them with few keys",
} as const;

export type EvidenceKind = keyof typeof EVIDENCE;

/** Attention received, summed over queries. */
export const SUMMED_KINDS = ["sums", "far-sums", "sampled-sums", "sampled-far-sums"] as const;
export type SummedKind = (typeof SUMMED_KINDS)[number];

/** Evidence that is attention received: one number per token and query head. */
export const ATTENTION_KINDS = ["window", ...SUMMED_KINDS, "peaks"] as const;
export type AttentionKind = (typeof ATTENTION_KINDS)[number];

/** Mean and covariance of a kv head's queries before rotation, per query head of its group. */
export interface QueryStatistics {
  /** [headDim, group] */
  readonly mean: Float32Array;
  /** [headDim, headDim, group] */
  readonly covariance: Float32Array;
  /** Mean rotation of the next positions, (cos, sin) where a rotated pair (1, 0) has them: [headDim]. */
  readonly futureRotation: Float32Array;
  /** Whether pairs lie half of the rotated dimensions apart, else side by side. */
  readonly neox: boolean;
  /** Dimensions of a head that are rotated, from the first on. */
  readonly rotated: number;
}

/** ‖W_o (out − out of the sinks and newest tokens alone)‖ of the group, for sampled queries. */
export interface OutputErrors {
  /** Errors of queries spread over the prompt, then of the last 64; the newest last. */
  readonly errors: Float32Array;
  /** Median length of those tokens' residual stream at the layer's input. */
  readonly residual: number;
}

/** What one kv head of a layer can be scored by. Arrays are in ggml's order, may be shared and are not written to. */
export interface HeadEvidence {
  /** Tokens that the head holds, new ones included. */
  readonly n: number;
  /** Query heads that share it. */
  readonly group: number;
  readonly headDim: number;
  /** Attention that each token receives of each query head: [n, group]. */
  attention(kind: AttentionKind): Float32Array;
  /** How many of the summed queries could add to each token: [n]. */
  counted(kind: SummedKind): Float32Array;
  /** Rotated keys: [headDim, n]. */
  keys(): Float32Array;
  /** Keys before rotation, as far as f16 holds them: [headDim, n]. */
  plainKeys(): Float32Array;
  /** [headDim, n] */
  values(): Float32Array;
  queries(): QueryStatistics;
  /** What the layer's result loses where this head sees few keys only. */
  outputErrors(): OutputErrors;
}

/** All kv heads of one layer. */
export interface LayerEvidence {
  /** Which of the layers that methods act on: those without a sliding window. */
  readonly il: number;
  readonly heads: readonly HeadEvidence[];
}
