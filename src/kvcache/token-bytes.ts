import { PyramidKVError, requireInteger } from "../errors.ts";
import { rowBytes, type TensorType } from "../ggml/types.ts";
import type { StateShapes } from "../models/layer-shape.ts";
import { stateBytes } from "./layer-state.ts";

/** What the size of a layer's cache follows from. */
export interface KvLayerShape {
  /** 0 in a recurrent layer. */
  readonly nHeadKv: number;
  readonly headDim: number;
  /** Tokens that the layer's queries see, where it has a sliding window. */
  readonly window?: number | undefined;
  /** The layer whose keys and values it attends to, where it has none of its own. */
  readonly sharesKvOf?: number | undefined;
  /** What the layer passes on instead of attending, where it is recurrent. */
  readonly recurrence?: { readonly states: StateShapes } | undefined;
}

/** What the size of a cache follows from. */
export interface KvShape {
  readonly layers: readonly KvLayerShape[];
}

/** Whether a layer has keys and values of its own. */
export function ownsKv({ nHeadKv, sharesKvOf }: KvLayerShape): boolean {
  return nHeadKv > 0 && sharesKvOf === undefined;
}

/** Bytes of one token's keys and values of its own in a layer. */
export function tokenBytes(layer: KvLayerShape, type: TensorType): number {
  return ownsKv(layer) ? 2 * layer.nHeadKv * rowBytes(type, layer.headDim) : 0;
}

/** Bytes of `n` tokens' keys and values in all layers, where nothing is forgotten but what windows forget, and of states. */
export function fullBytes({ layers }: KvShape, n: number, type: TensorType): number {
  return layers.reduce((sum, layer) => {
    const rows = ownsKv(layer) ? Math.min(n, layer.window ?? Infinity) : 0;
    return sum + rows * tokenBytes(layer, type) + stateBytes(layer.recurrence?.states);
  }, 0);
}

/** Throws `USAGE` where the size is set twice. */
export function requireOneSize({ kvSize, kvBytes }: { kvSize?: unknown; kvBytes?: unknown }): void {
  if (kvSize === undefined || kvBytes === undefined) return;
  throw new PyramidKVError("USAGE", "kvSize and kvBytes both set the size; give one");
}

/**
 * Tokens per kv head of the layers that methods act on, whose keys and values take no more than `bytes` together with
 * those of full windows and with states; throws `USAGE` below one.
 */
export function tokensWithin(bytes: number, { layers }: KvShape, type: TensorType): number {
  const isFixed = (layer: KvLayerShape) => layer.window !== undefined || !ownsKv(layer);
  const others = layers.filter((layer) => !isFixed(layer));
  const fixed = fullBytes({ layers: layers.filter(isFixed) }, Infinity, type);
  const perToken = fullBytes({ layers: others }, 1, type);
  if (perToken === 0) {
    throw new PyramidKVError(
      "USAGE",
      "no layer keeps all tokens: they have a sliding window or a state, whose size no method sets",
    );
  }
  const limit = requireInteger("kvBytes", bytes, fixed + perToken);
  return Math.floor((limit - fixed) / perToken);
}
