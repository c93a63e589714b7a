import type { EvidenceKind } from "../../compression/evidence.ts";
import { neededWhileDecoding } from "../../compression/decode-evidence.ts";
import type { Compression } from "../../compression/resolve.ts";
import type { KvCache } from "../../kvcache/kv-cache.ts";
import type { Chunk } from "./layer-observer.ts";
import { summedKinds, type Received } from "./received.ts";

/** A cache to fill in a prefill, and how it is compressed. */
export interface PrefillTarget {
  readonly cache: KvCache;
  readonly compression: Compression;
  /** Whether the cache is cut to its budgets after this prefill; otherwise it only grows. */
  readonly cut: boolean;
  /** Rows to keep free in each head's cache beyond what it holds. */
  readonly room: number;
  /** Takes over what kept tokens received, where sums go on while decoding. */
  readonly received?: Received | undefined;
}

/** What a target's method ranks and divides by, now or while it decodes. */
export function neededBy({ cut, compression }: PrefillTarget): readonly EvidenceKind[] {
  const { method, recipe } = compression;
  const carried: readonly EvidenceKind[] = recipe.carries === undefined ? [] : ["window"];
  if (cut) return [...method.needs, ...(method.budget.needs ?? []), ...carried];
  return recipe.every === undefined ? [] : summedKinds(neededWhileDecoding(method));
}

/** Tokens that are read. */
export interface PromptLengths {
  readonly prompt: number;
  /** Tokens of the longest piece of the probe after it, and of its last. */
  readonly probe: number;
  readonly lastPiece: number;
}

/** What is observed, over how many tokens. */
export interface ObservationSize {
  /** Rows of the scratch. */
  readonly rows: number;
  readonly lengths: PromptLengths;
  readonly chunkTokens: number;
}

/** The last queries of the prompt, or of its probe, that a method observes. */
export interface ObservedWindow {
  readonly of: Chunk["of"];
  readonly alpha: number;
}

/** Queries that a target's method observes at the end of the prompt, or of its probe. */
export function windowOf(
  { compression: { recipe, options } }: PrefillTarget,
  lengths: PromptLengths,
): ObservedWindow {
  const of = recipe.probe !== undefined && lengths.probe > 0 ? "probe" : "prompt";
  const most = of === "probe" ? lengths.lastPiece : lengths.prompt;
  return { of, alpha: Math.min(options.alpha, most) };
}
