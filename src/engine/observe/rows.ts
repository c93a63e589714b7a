import type { InputGraph } from "../../ggml/input-graph.ts";
import { readTensor, type Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import { transformed } from "../../kvcache/kv-format.ts";
import type { RowSource } from "../../kvcache/rows.ts";
import type { Model, ModelLayer } from "../../models/model.ts";

/** Where a kv head's tokens lie in the rows of a source. */
export interface HeadPlace {
  readonly row: number;
  readonly length: number;
}

/** Numbers of rows that one graph holds at most. */
const BLOCK_BYTES = 32 * 1024 * 1024;

/** Rows of some heads, one head after the other: f32 [headDim, tokens of all of them]. */
export function gatherRows(
  g: InputGraph,
  source: RowSource,
  of: "k" | "v",
  heads: readonly HeadPlace[],
  headDim: number,
): Tensor {
  const rows = Int32Array.from(heads.flatMap(({ row, length }) => range(row, length)));
  // Quantized rows become numbers by being looked up.
  const held = g.getRows(source[of], g.constant(TYPES.i32, [rows.length], rows));
  return transformed(g, held, headDim, source.format.hadamard);
}

/** Keys or values of each of a layer's heads as numbers: [headDim, length]. */
export function readRows(
  source: RowSource,
  of: "k" | "v",
  heads: readonly HeadPlace[],
  headDim: number,
): Promise<Float32Array[]> {
  return perHead(heads, headDim, (batch) => {
    return source.device.run((g) => {
      const rows = g.output(gatherRows(g, source, of, batch, headDim));
      return () => split(rows, batch, headDim);
    });
  });
}

/** The keys of each of a layer's heads, turned back to position 0: f32 [headDim, length]. */
export function plainKeys(
  model: Model,
  il: number,
  source: RowSource,
  heads: readonly (HeadPlace & { readonly positions: Int32Array })[],
): Promise<Float32Array[]> {
  const { headDim } = model.layers[il] as ModelLayer;
  return perHead(heads, headDim, (batch) => {
    return source.device.run((g) => {
      const back = Int32Array.from(
        batch.flatMap(({ positions }) => Array.from(positions, (p) => -p)),
      );
      const n = back.length;
      const keys = g.reshape(gatherRows(g, source, "k", batch, headDim), headDim, 1, n);
      const turned = g.output(model.graph.turn(g, il, keys, g.constant(TYPES.i32, [n], back)));
      return () => split(turned, batch, headDim);
    });
  });
}

/** Reads as many heads at a time as a graph holds: a long prompt's keys in f32 take twice the scratch. */
async function perHead<T extends HeadPlace>(
  heads: readonly T[],
  headDim: number,
  read: (batch: readonly T[]) => Promise<Float32Array[]>,
): Promise<Float32Array[]> {
  const results: Float32Array[] = [];
  let batch: T[] = [];
  let bytes = 0;
  for (const head of heads) {
    const headBytes = head.length * headDim * 4;
    if (batch.length > 0 && bytes + headBytes > BLOCK_BYTES) {
      results.push(...(await read(batch)));
      batch = [];
      bytes = 0;
    }
    batch.push(head);
    bytes += headBytes;
  }
  if (batch.length > 0) results.push(...(await read(batch)));
  return results;
}

function split(rows: Tensor, heads: readonly HeadPlace[], headDim: number): Float32Array[] {
  let at = 0;
  return heads.map(({ length }) => {
    const values = readTensor(rows, new Float32Array(length * headDim), at);
    at += values.byteLength;
    return values;
  });
}

function range(first: number, n: number): number[] {
  return Array.from({ length: n }, (_, i) => first + i);
}
