import { PyramidKVError, requireInteger } from "../errors.ts";
import { rowBytes, type TensorType } from "../ggml/types.ts";

/** What the size of a layer's cache follows from. */
export interface KvLayerShape {
  readonly nHeadKv: number;
  readonly headDim: number;
  /** Tokens that the layer's queries see, where it has a sliding window. */
  readonly window?: number | undefined;
}

/** What the size of a cache follows from. */
export interface KvShape {
  readonly layers: readonly KvLayerShape[];
}

/** Bytes of one token's keys and values in a layer. */
export function tokenBytes({ nHeadKv, headDim }: KvLayerShape, type: TensorType): number {
  return 2 * nHeadKv * rowBytes(type, headDim);
}

/** Bytes of `n` tokens' keys and values in all layers, where nothing is forgotten but what windows forget. */
export function fullBytes({ layers }: KvShape, n: number, type: TensorType): number {
  return layers.reduce((sum, layer) => {
    return sum + Math.min(n, layer.window ?? Infinity) * tokenBytes(layer, type);
  }, 0);
}

/** Throws `USAGE` where the size is set twice. */
export function requireOneSize({ kvSize, kvBytes }: { kvSize?: unknown; kvBytes?: unknown }): void {
  if (kvSize === undefined || kvBytes === undefined) return;
  throw new PyramidKVError("USAGE", "kvSize and kvBytes both set the size; give one");
}

/**
 * Tokens per kv head of the layers that methods act on, whose keys and values take no more than `bytes` together with
 * those of full windows; throws `USAGE` below one.
 */
export function tokensWithin(bytes: number, { layers }: KvShape, type: TensorType): number {
  const windowed = layers.filter(({ window }) => window !== undefined);
  const others = layers.filter(({ window }) => window === undefined);
  const ofWindows = fullBytes({ layers: windowed }, Infinity, type);
  const perToken = fullBytes({ layers: others }, 1, type);
  if (perToken === 0) {
    throw new PyramidKVError(
      "USAGE",
      "all layers have a sliding window: no method sets their size",
    );
  }
  const limit = requireInteger("kvBytes", bytes, ofWindows + perToken);
  return Math.floor((limit - ofWindows) / perToken);
}
