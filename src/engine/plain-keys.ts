import type { Executor } from "../ggml/executor.ts";
import { readTensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { Model } from "../models/model.ts";

export interface PlainKeysInput {
  readonly model: Model;
  readonly executor: Executor;
  readonly scratch: PrefillScratch;
  /** First row of each kv head's tokens in the scratch. */
  readonly heads: readonly { readonly firstRow: number }[];
  /** Positions of all tokens of a kv head. */
  readonly positions: (kvHead: number) => Int32Array;
}

/** The keys of a layer's kv heads, turned back to position 0: f32 [headDim, n] each. */
export async function plainKeys(input: PlainKeysInput): Promise<Float32Array[]> {
  const keys: Float32Array[] = [];
  // One head at a time: a long prompt's keys in f32 take twice the scratch.
  for (const [kvHead, { firstRow }] of input.heads.entries()) {
    keys.push(await turnedBack(input, kvHead, firstRow));
  }
  return keys;
}

function turnedBack(
  { model: { hp, graph }, executor, scratch, positions }: PlainKeysInput,
  kvHead: number,
  firstRow: number,
): Promise<Float32Array> {
  const back = positions(kvHead).map((p) => -p);
  const n = back.length;
  const first = kvHead * scratch.capacity + firstRow;
  return executor.run((g) => {
    const rows = Int32Array.from({ length: n }, (_, i) => first + i);
    const keys = g.getRows(scratch.k, g.constant(TYPES.i32, [n], rows));
    const by = g.constant(TYPES.i32, [n], back);
    const turned = g.output(graph.turn(g, g.reshape(keys, hp.headDim, 1, n), by));
    return () => readTensor(turned, new Float32Array(hp.headDim * n));
  });
}
