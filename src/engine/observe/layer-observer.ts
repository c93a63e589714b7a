import type { InputGraph } from "../../ggml/input-graph.ts";
import type { Summed } from "../../ggml/operations/nodes.ts";
import type { Tensor } from "../../ggml/tensor-buffer.ts";
import type { HeadRun } from "../../kvcache/head-runs.ts";
import type { LayerScratch } from "../../kvcache/layer-scratch.ts";
import type { ModelLayer } from "../../models/model.ts";

/** A stretch of the tokens being prefilled. */
export interface Chunk {
  /** Index of its first token among all that are read, and among those whose keys it sees. */
  readonly first: number;
  readonly row: number;
  readonly n: number;
  /** Whether it belongs to the prompt, or to a probe that is read after it and forgotten. */
  readonly of: "prompt" | "probe";
  /** Whether it is the last of its kind. */
  readonly isLast: boolean;
}

/** A layer that is being read. */
export interface ReadLayer {
  readonly il: number;
  readonly shape: ModelLayer;
  readonly scratch: LayerScratch;
  /** Whether all queries attend: of the last layers only the last token's result is used. */
  readonly attendsWhole: boolean;
}

/** What attention made of a chunk. */
export interface Attended {
  /** Rotated queries, f32 [headDim, nHead, n]. */
  readonly q: Tensor;
  /** Attention's result, f32 [headDim · nHead, n]. */
  readonly attended: Tensor;
  /** The layer's input, f32 [nEmbd, n]. */
  readonly input: Tensor;
  /** f32 [headDim, nHead, n]: its sigmoid multiplies the result, where there is one. */
  readonly gate: Tensor | undefined;
}

/** Watches layers while they are read: it adds nodes of its own to each chunk's graph. */
export interface LayerObserver {
  /** Before a layer's first chunk: forgets the layer before. */
  begin(layer: ReadLayer): void;
  /** Queries before rotation, f32 [headDim, nHead, n]. */
  onQueries?(g: InputGraph, q: Tensor, chunk: Chunk): void;
  /** Rotated queries, f32 [headDim, nHead, n]; keys and values of the chunk are in the scratch. */
  onRotated?(g: InputGraph, q: Tensor, chunk: Chunk): void;
  /** What attention itself is to gather of a run's heads on its way, over their first `nKv` tokens. */
  alongside?(g: InputGraph, run: HeadRun, chunk: Chunk, nKv: number): Summed;
  /** Whether `onAttended` needs the results of all of a chunk's queries, in the last layer too. */
  wantsAttended?(chunk: Chunk): boolean;
  onAttended?(g: InputGraph, attended: Attended, chunk: Chunk): void;
  /** @returns reads what the graph computed, once it has run */
  onChunk?(g: InputGraph, chunk: Chunk): () => void;
  /** After a chunk's graph: what needs graphs of its own. */
  afterChunk?(chunk: Chunk): Promise<void>;
  /** After a layer's last chunk, before it is cut. */
  afterLayer?(layer: ReadLayer): Promise<void>;
  /** More nodes than it adds to a chunk's graph for each kv head. */
  nodesPerHead?(chunk: Chunk): number;
}
