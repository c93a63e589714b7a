import { requireInteger } from "../errors.ts";
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

/** Tokens per layer and kv head whose keys and values take no more than `bytes`; throws `USAGE` below one. */
export function tokensWithin(bytes: number, shape: KvShape, type: TensorType): number {
  const perToken = tokenBytes(shape, type);
  return Math.floor(requireInteger("kvBytes", bytes, perToken) / perToken);
}
