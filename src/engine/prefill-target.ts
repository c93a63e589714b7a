import type { Compression } from "../compression/resolve.ts";
import type { KvCache } from "../kvcache/kv-cache.ts";

/** A cache to fill in a prefill, and how it is compressed. */
export interface PrefillTarget {
  readonly cache: KvCache;
  readonly compression: Compression;
  /** Tokens that each layer's fullest kv head held before this prefill; empty for a new cache. */
  readonly pastLengths: readonly number[];
  /** Whether the cache is cut to its budgets after this prefill; otherwise it only grows. */
  readonly cut: boolean;
}
