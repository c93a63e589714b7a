import type { Tensor } from "../../ggml/tensor-buffer.ts";
import type { QueryKeyValue } from "../../models/blocks/heads.ts";

/** How a decode step reads and extends a sequence's caches: by ggml's operations or by our own. */
export interface DecodeAttention {
  /** Whether it would read all tokens that the caches hold now, and no others. */
  readonly isCurrent: boolean;
  /** Appends the token to a layer's cache and attends to it → f32 [headDim · nHead, 1]. */
  attend(il: number, qkv: QueryKeyValue): Tensor;
  /** Writes the inputs of the step that puts a token at `position`. */
  prepare(position: number): void;
}
