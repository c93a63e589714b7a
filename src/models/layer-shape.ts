import type { RopeParameters } from "../ggml/graph.ts";

/** What a feed-forward network does between its matrices: silu or gelu of the gate times the rest, or as gpt-oss has it, clamped and with a slope of 1.702. */
export type Activation = "silu" | "gelu" | "swiglu-oai";

/** How a router's logits become the weights of the experts that it chooses. */
export interface Routing {
  /** Softmax over all experts, or over the chosen ones alone. */
  readonly gate: "softmax" | "softmax-of-chosen";
  /** The weights of the chosen experts are divided by their sum. */
  readonly renormalises: boolean;
  /** Whether libllama takes the sigmoid of the shared expert's router for silu(x) / x, which differs in the last bit. */
  readonly dividesSilu?: boolean;
}

/** A layer's feed-forward network. */
export interface FeedForwardShape {
  /** One network, or experts of which a router chooses some for each token. */
  readonly kind: "dense" | "moe";
  /** Width within, of one expert where there are several. */
  readonly nFf: number;
  readonly activation: Activation;
  /** 0 for a dense network. */
  readonly nExpert: number;
  readonly nExpertUsed: number;
  /** Width of an expert that every token passes besides; 0 where there is none. */
  readonly nFfShared: number;
  readonly routing: Routing;
}

/** How queries grow with their position, so that attention stays sharp over long texts: times 1 + scale · ln(1 + ⌊position / every⌋). */
export interface QueryGrowth {
  readonly scale: number;
  readonly every: number;
}

/** Sizes of the f32 tensors that a recurrent layer's state consists of, in ggml order. */
export type StateShapes = readonly (readonly number[])[];

/** A gated convolution over the newest tokens (LFM2, arXiv 2511.23404). */
export interface ShortConvolution {
  readonly kind: "short-convolution";
  /** Tokens that it sees, its own included. */
  readonly taps: number;
  /** Of the convolution: the tokens before, f32 [taps − 1, nEmbd]. */
  readonly states: StateShapes;
}

/** Linear attention by the gated delta rule, behind a convolution (Qwen3-Next; arXiv 2412.06464). */
export interface DeltaNet {
  readonly kind: "delta-net";
  readonly taps: number;
  readonly headDim: number;
  /** Heads of queries and of keys, which the more numerous heads of values share. */
  readonly nKeyHead: number;
  readonly nValueHead: number;
  /** Whether neighbouring value heads share a key head, as in attention, or those that are `nKeyHead` apart. */
  readonly sharesNeighbours: boolean;
  /** Of the convolution f32 [taps − 1, channels], and what the heads remember, f32 [headDim, headDim, nValueHead]. */
  readonly states: StateShapes;
}

/** How a recurrent layer mixes tokens: with a state that it passes on, instead of attending to them. */
export type Recurrence = ShortConvolution | DeltaNet;

/** The numbers of one layer. In their heads, only layers with a sliding window may differ from the others. */
export interface LayerShape {
  /** 0 in a recurrent layer, as `nHeadKv` is. */
  readonly nHead: number;
  readonly nHeadKv: number;
  /** Elements of one head's key and of its value. */
  readonly headDim: number;
  /** Factor on q·k before the softmax. */
  readonly scale: number;
  /** One of the model's `ropes`, the same object; layers that share it have heads of one size. It rotates 0 dimensions where positions do not matter. */
  readonly rope: RopeParameters;
  /** Tokens that a query sees, its own included (sliding window); all where there is none. */
  readonly window?: number | undefined;
  /** Logits x become softcap · tanh(x / softcap); as they are where there is none. */
  readonly softcap?: number | undefined;
  /** Whether each query head has a learned logit that takes weight which no token gets (gpt-oss). */
  readonly sinkLogits: boolean;
  /** Factor on queries before they are rotated, where it is not in `scale`: whoever rounds queries rounds them with it. */
  readonly queryFactor?: number | undefined;
  readonly queryGrowth?: QueryGrowth | undefined;
  /** Whether the matrix of the queries has a gate for each: its sigmoid multiplies what attention gives. */
  readonly gatesAttention?: boolean | undefined;
  /** Whether values are normed, without a weight. */
  readonly normsValues?: boolean | undefined;
  /** Whether factors on the rotation, which the file has, are those of other layers. */
  readonly ignoresRopeFactors?: boolean | undefined;
  /** An earlier layer, alike in its heads and its rotation, to whose keys and values it attends: it has none of its own. */
  readonly sharesKvOf?: number | undefined;
  /** What a recurrent layer does instead of attending. */
  readonly recurrence?: Recurrence | undefined;
  readonly ffn: FeedForwardShape;
}

/** Layers that methods act on, by index: those with keys and values of their own, all of which they keep unless some are evicted. */
export function compressibleLayers(
  layers: readonly Pick<LayerShape, "window" | "recurrence" | "sharesKvOf">[],
): number[] {
  return layers.flatMap(({ window, recurrence, sharesKvOf }, il) =>
    window === undefined && recurrence === undefined && sharesKvOf === undefined ? [il] : [],
  );
}

/** The last layer with keys and values of its own, or a state: behind it, nothing of a text but its last token matters. */
export function lastOwning(layers: readonly Pick<LayerShape, "sharesKvOf">[]): number {
  return layers.findLastIndex(({ sharesKvOf }) => sharesKvOf === undefined);
}

/** The last layer that attends to the keys and values of layer `il` besides it. */
export function lastSharing(
  layers: readonly Pick<LayerShape, "sharesKvOf">[],
  il: number,
): number | undefined {
  const last = layers.findLastIndex(({ sharesKvOf }) => sharesKvOf === il);
  return last < 0 ? undefined : last;
}

/** A layer that mixes tokens this way and has no heads. */
export function recurrent(layer: LayerShape, recurrence: Recurrence): LayerShape {
  return { ...layer, nHead: 0, nHeadKv: 0, headDim: 0, window: undefined, recurrence };
}
