import type { KvCache } from "../kvcache/kv-cache.ts";

/** One layer of a cache, as plain data. */
export interface KvLayerReport {
  readonly layer: number;
  /** Tokens held per kv head; the mean where heads differ. */
  readonly kept: number;
  /** Rows allocated per kv head. */
  readonly capacity: number;
  readonly bytes: number;
  /** True positions of the tokens held, one array per kv head; on request. */
  readonly positions?: readonly (readonly number[])[];
}

/** A cache at one moment, as plain data. */
export interface KvReport {
  readonly type: string;
  /** What the full cache of the same tokens would hold. */
  readonly fullBytes: number;
  /** Allocated: what is kept, padding and room to append. */
  readonly bytes: number;
  /** Bytes among these that the kept tokens take. */
  readonly keptBytes: number;
  readonly meanKept: number;
  readonly layers: readonly KvLayerReport[];
}

/** Takes stock of a cache after `nTokens` tokens. */
export function reportKv(cache: KvCache, nTokens: number, withPositions = false): KvReport {
  return {
    type: cache.format.name,
    fullBytes: cache.fullBytes(nTokens),
    bytes: cache.bytes,
    keptBytes: Math.round(cache.fullBytes(cache.meanKept)),
    meanKept: cache.meanKept,
    layers: cache.layers.map((layer, il) => ({
      layer: il,
      kept: layer.kept,
      capacity: layer.capacity,
      bytes: layer.bytes,
      ...(withPositions
        ? { positions: layer.heads.map((head) => Array.from(head.positions)) }
        : {}),
    })),
  };
}
