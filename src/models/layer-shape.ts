import type { RopeParameters } from "../ggml/graph.ts";

/** A layer's feed-forward network. */
export interface FeedForwardShape {
  /** One network, or experts of which a router chooses some for each token. */
  readonly kind: "dense" | "moe";
  /** Width within, of one expert where there are several. */
  readonly nFf: number;
  /** 0 for a dense network. */
  readonly nExpert: number;
  readonly nExpertUsed: number;
}

/** The numbers of one layer. In their heads, only layers with a sliding window may differ from the others. */
export interface LayerShape {
  readonly nHead: number;
  readonly nHeadKv: number;
  /** Elements of one head's key and of its value. */
  readonly headDim: number;
  /** Factor on q·k before the softmax. */
  readonly scale: number;
  /** One of the model's `ropes`, the same object; layers that share it have heads of one size. */
  readonly rope: RopeParameters;
  /** Tokens that a query sees, its own included (sliding window); all where there is none. */
  readonly window?: number | undefined;
  /** Logits x become softcap · tanh(x / softcap); as they are where there is none. */
  readonly softcap?: number | undefined;
  /** Whether each query head has a learned logit that takes weight which no token gets (gpt-oss). */
  readonly sinkLogits: boolean;
  readonly ffn: FeedForwardShape;
}

/** Layers that methods act on, by index: those that keep all tokens unless some are evicted. */
export function compressibleLayers(layers: readonly Pick<LayerShape, "window">[]): number[] {
  return layers.flatMap(({ window }, il) => (window === undefined ? [il] : []));
}
