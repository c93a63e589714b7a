import type { Tensor } from "../ggml/tensor-buffer.ts";
import type { QueryKeyValue } from "../models/blocks/heads.ts";

/** How a decode step reads and extends the caches: by ggml's operations or by our own. */
export interface DecodeAttention {
  /** Whether it asks each head anew how many tokens it holds. */
  readonly survivesEviction: boolean;
  /** Appends the token to a layer's cache and attends to it → f32 [headDim · nHead, 1]. */
  attend(il: number, qkv: QueryKeyValue): Tensor;
  /** Writes the inputs of the step that puts a token at `position`. */
  prepare(position: number): void;
}
