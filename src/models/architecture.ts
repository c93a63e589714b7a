import type { Graph } from "../ggml/graph.ts";
import type { Operations } from "../ggml/operations/operations.ts";
import type { Tensor } from "../ggml/tensor-buffer.ts";
import type { Metadata } from "../gguf/metadata.ts";
import type { QueryKeyValue } from "../ggml/operations/nodes.ts";
import type { HyperParameters } from "./hyper-parameters.ts";

/** What a file must hold for one weight: its name, its shape in ggml order, whether it may be absent. */
export interface TensorRule {
  readonly name: string;
  readonly shape: readonly number[];
  readonly optional?: boolean;
  /** Rows that are added as they are, as biases are: f32 alone. */
  readonly isVectors?: boolean;
  /** Rows of this weight are looked up with the embeddings, so they are kept in plain memory there too. */
  readonly rows?: boolean;
  /** A tensor of the whole model: every layer computes with it, and finds it among its weights. */
  readonly everyLayer?: boolean;
  /** Parts of its rows, of so many elements, or some of its rows are used for themselves: it lies in plain memory. */
  readonly part?: number;
}

export type TensorRules = Readonly<Record<string, TensorRule>>;
export type Weights = Readonly<Record<string, Tensor | undefined>>;

/** The weights of a loaded model by the field names of its architecture's rules. */
export interface ModelWeights {
  readonly model: Weights;
  readonly layers: readonly Weights[];
  /** What multiplies a layer's weights; without a layer, those that give the logits. */
  readonly operations: (il?: number) => Operations;
}

/** What the rest of a layer takes besides attention's result. */
export interface Beside {
  /** f32 [headDim, nHead, n]: its sigmoid multiplies the result, where there is one. */
  readonly gate?: Tensor | undefined;
  /** i32 [n]; what a layer is told of them for itself, where the model has that. */
  readonly tokens: Tensor;
}

/** The states of some sequences in a recurrent layer, the sequences last in each tensor's shape. */
export interface States {
  readonly before: readonly Tensor[];
  /** Receive what comes after the tokens; the states are left as they were where there are none. */
  readonly after?: readonly Tensor[] | undefined;
}

/** A transformer in the pieces that prefill and decode put together around attention. */
export interface TransformerGraph {
  /** `tokens` i32 [n] → f32 [nEmbd, n]. */
  embed(g: Graph, tokens: Tensor): Tensor;
  /** `x` f32 [nEmbd, n] of tokens at these `positions`, i32 [n]. Nodes that the caller does not use cost nothing. */
  queryKeyValue(g: Graph, il: number, x: Tensor, positions: Tensor): QueryKeyValue;
  /** The queries of a layer that shares another's keys and values, f32 [headDim, nHead, n]. */
  queries(g: Graph, il: number, x: Tensor): Tensor;
  /** A layer's queries or keys f32 [headDim, heads, n], rotated to their true `positions` i32 [n]. */
  rotate(g: Graph, il: number, heads: Tensor, positions: Tensor): Tensor;
  /** A layer's rotated keys f32 [headDim, heads, n], rotated further, each token's by its own number of positions, i32 [n]; their length stays. */
  turn(g: Graph, il: number, keys: Tensor, by: Tensor): Tensor;
  /** f32 [nHead]: the logits that take weight which no token gets, where the layer's shape has them. */
  sinkLogits(il: number): Tensor | undefined;
  /** What attention's result f32 [headDim · nHead, n] adds to the residual stream, biases and a norm behind it aside: f32 [nEmbd, n]. */
  projectAttention(g: Graph, il: number, attention: Tensor): Tensor;
  /** A recurrent layer's tokens, mixed, and its new states: what `finishLayer` takes as attention's result. */
  mix(g: Graph, il: number, x: Tensor, states: readonly States[]): Tensor;
  /** `attention` f32 [headDim · nHead, n], the attention's result, and `x`, the layer's input → the next `x`. */
  finishLayer(g: Graph, il: number, x: Tensor, attention: Tensor, beside: Beside): Tensor;
  /** `x` f32 [nEmbd, n] → f32 [nVocab, n]. */
  logits(g: Graph, x: Tensor): Tensor;
}

/** One model family: one file that says what its GGUFs hold. `transformerGraph` computes them all. */
export interface Architecture {
  /** `general.architecture` of its files. */
  readonly name: string;
  readonly summary: string;
  /** What it was held against libllama on, beside a model of random weights. */
  readonly provedOn: string;
  readonly hyperParameters: (metadata: Metadata) => HyperParameters;
  readonly modelTensors: (hp: HyperParameters) => TensorRules;
  readonly layerTensors: (hp: HyperParameters, il: number) => TensorRules;
  /** Whether files may hold a tensor of this name that what they are run for does not need. */
  readonly ignores?: (hp: HyperParameters, name: string) => boolean;
}
