import { PyramidKVError, requireInteger } from "../errors.ts";
import { rowBytes, type TensorType } from "../ggml/types.ts";

/** What the size of a cache follows from. */
export interface KvShape {
  readonly nLayer: number;
  readonly nHeadKv: number;
  readonly headDim: number;
}

/** Bytes of one token's keys and values in all layers. */
export function tokenBytes({ nLayer, nHeadKv, headDim }: KvShape, type: TensorType): number {
  return 2 * nLayer * nHeadKv * rowBytes(type, headDim);
}

/** Throws `USAGE` where the size is set twice. */
export function requireOneSize({ kvSize, kvBytes }: { kvSize?: unknown; kvBytes?: unknown }): void {
  if (kvSize === undefined || kvBytes === undefined) return;
  throw new PyramidKVError("USAGE", "kvSize and kvBytes both set the size; give one");
}

/** Tokens per layer and kv head whose keys and values take no more than `bytes`; throws `USAGE` below one. */
export function tokensWithin(bytes: number, shape: KvShape, type: TensorType): number {
  const perToken = tokenBytes(shape, type);
  return Math.floor(requireInteger("kvBytes", bytes, perToken) / perToken);
}
