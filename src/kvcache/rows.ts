import type { Device } from "../ggml/device.ts";
import type { Tensor } from "../ggml/tensor-buffer.ts";
import type { KvFormat } from "./kv-format.ts";

/** Keys and values as rows of [headDim]. */
export interface RowSource {
  /** The device in whose memory they lie. */
  readonly device: Device;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly format: Pick<KvFormat, "hadamard">;
}

/** Rows of the source that a kv head takes, in order. */
export interface HeadRows {
  readonly rows: Int32Array;
  /** Positions that each key is turned on by, where tokens move. */
  readonly turns?: Int32Array | undefined;
  /** Rows that it leaves behind. */
  readonly evicted?: Int32Array | undefined;
}

/** The places below `n` that are not in `kept`, which ascends. */
export function complement(kept: Int32Array, n: number): Int32Array {
  const out = new Int32Array(n - kept.length);
  let [at, next] = [0, 0];
  for (let i = 0; i < n; i++) {
    if (kept[next] === i) next++;
    else out[at++] = i;
  }
  return out;
}
