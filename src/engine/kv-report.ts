import type { KvCache } from "../kvcache/kv-cache.ts";

/** A layer that attends, as plain data. */
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
  /** Bytes among these that the kept tokens take, and states. */
  readonly keptBytes: number;
  /** Bytes among these of the recurrent layers' states; 0 where there are none. */
  readonly stateBytes: number;
  readonly meanKept: number;
  readonly layers: readonly KvLayerReport[];
}

/** Takes stock of a cache after `nTokens` tokens. */
export function reportKv(cache: KvCache, nTokens: number, withPositions = false): KvReport {
  const { attending } = cache;
  return {
    type: cache.format.name,
    fullBytes: cache.fullBytes(nTokens),
    bytes: cache.bytes,
    keptBytes: Math.round(cache.fullBytes(cache.meanKept)),
    meanKept: cache.meanKept,
    stateBytes: cache.stateBytes,
    layers: cache.layers.map((layer, i) => ({
      layer: attending[i] as number,
      kept: layer.kept,
      capacity: layer.capacity,
      bytes: layer.bytes,
      ...(withPositions
        ? { positions: layer.heads.map((head) => Array.from(head.positions)) }
        : {}),
    })),
  };
}
