import type { InputGraph } from "../../ggml/input-graph.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import { TYPES } from "../../ggml/types.ts";
import type { Chunk } from "./layer-observer.ts";

/** A chunk's rows, f32 [width, n], and where those of chosen tokens go, f32 [width, tokens]. */
export interface RowCopy {
  readonly from: Tensor;
  readonly into: Tensor;
}

/** Copies the rows of chosen tokens of the prompt, by index, as far as they lie in a chunk. */
export function captureRows(
  g: InputGraph,
  tokens: Int32Array,
  { first, n, of }: Chunk,
  copies: readonly RowCopy[],
): void {
  if (of !== "prompt") return;
  const from: number[] = [];
  const to: number[] = [];
  tokens.forEach((token, i) => {
    if (token < first || token >= first + n) return;
    from.push(token - first);
    to.push(i);
  });
  if (from.length === 0) return;
  const fromRows = g.constant(TYPES.i32, [from.length], Int32Array.from(from));
  const toRows = g.constant(TYPES.i32, [to.length], Int32Array.from(to));
  for (const copy of copies) {
    g.expand(g.setRows(copy.into, g.getRows(copy.from, fromRows), toRows));
  }
}
