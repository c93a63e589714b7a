import type { Executor } from "../ggml/executor.ts";
import { readTensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import type { PrefillScratch } from "../kvcache/scratch.ts";
import type { Model } from "../models/model.ts";

export interface PlainKeysInput {
  readonly model: Model;
  readonly executor: Executor;
  readonly scratch: PrefillScratch;
  /** First row of each kv head's tokens in the scratch, and all their positions. */
  readonly heads: readonly { readonly firstRow: number; readonly positions: Int32Array }[];
}

/** The keys of a layer's kv heads, turned back to position 0: f32 [headDim, n] each. */
export function plainKeys({
  model: { hp, graph },
  executor,
  scratch,
  heads,
}: PlainKeysInput): Promise<Float32Array[]> {
  return executor.run(
    (g) => {
      const turned = heads.map(({ firstRow, positions }, h) => {
        const n = positions.length;
        const rows = Int32Array.from({ length: n }, (_, i) => h * scratch.capacity + firstRow + i);
        const keys = g.getRows(scratch.k, g.constant(TYPES.i32, [n], rows));
        const back = g.constant(TYPES.i32, [n], positions.map((p) => -p)); // prettier-ignore
        return g.output(graph.turn(g, g.reshape(keys, hp.headDim, 1, n), back));
      });
      return () =>
        turned.map((t, h) => {
          const n = (heads[h] as PlainKeysInput["heads"][number]).positions.length;
          return readTensor(t, new Float32Array(hp.headDim * n));
        });
    },
    64 + 8 * heads.length,
  );
}
