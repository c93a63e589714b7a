import type { EvidenceKind, LayerEvidence } from "../compression/evidence.ts";
import type { Compression } from "../compression/resolve.ts";
import type { KvCache } from "../kvcache/kv-cache.ts";
import { summedKinds } from "./received.ts";

/** A cache to fill in a prefill, and how it is compressed. */
export interface PrefillTarget {
  readonly cache: KvCache;
  readonly compression: Compression;
  /** Whether the cache is cut to its budgets after this prefill; otherwise it only grows. */
  readonly cut: boolean;
  /** Rows to keep free in each head's cache beyond what it holds. */
  readonly room: number;
  /** Told what a layer showed, and what its heads kept of it: indices into their own tokens. */
  readonly onCut?: ((layer: LayerEvidence, kept: readonly Int32Array[]) => void) | undefined;
  /** Told where a layer is cut again: what its heads keep of what they had kept. */
  readonly onCutAgain?: ((il: number, kept: readonly Int32Array[]) => void) | undefined;
}

/** What a target's method ranks and divides by, now or while it decodes. */
export function neededBy({ cut, compression: { method } }: PrefillTarget): readonly EvidenceKind[] {
  const carried: readonly EvidenceKind[] = method.carries === undefined ? [] : ["window"];
  if (cut) return [...method.needs, ...(method.budget.needs ?? []), ...carried];
  return method.every === undefined ? [] : summedKinds(method.needs);
}
