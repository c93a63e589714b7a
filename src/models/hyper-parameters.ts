import { PyramidKVError } from "../errors.ts";
import type { RopeParameters } from "../ggml/graph.ts";
import { required, type Metadata } from "../gguf/metadata.ts";
import { FileKeys, MAX } from "./file-keys.ts";
import { compressibleLayers, type FeedForwardShape, type LayerShape } from "./layer-shape.ts";
import { readRope } from "./rope-keys.ts";

/** The numbers of a model that none of its layers has for itself. */
export interface ModelNumbers {
  readonly architecture: string;
  readonly name: string;
  readonly nEmbd: number;
  readonly nVocab: number;
  /** Context that the model was trained for, in tokens. */
  readonly nCtx: number;
  readonly normEpsilon: number;
  /** Factors on the embeddings, on what a layer's two halves add to the residual stream, and on the logits. */
  readonly scales: {
    readonly embedding: number;
    readonly residual: number;
    readonly logits: number;
  };
  /** Logits of the vocabulary x become softcap · tanh(x / softcap); as they are where there is none. */
  readonly logitSoftcap?: number | undefined;
  /** Width of the embeddings that each layer has for itself; none by default. */
  readonly nEmbdPerLayer?: number | undefined;
  /** Layers of the file behind the last one, which predict tokens further ahead and are not used. */
  readonly nFurtherLayers?: number | undefined;
}

/** The numbers that shape a transformer, read from `<architecture>.*` keys and checked. */
export interface HyperParameters extends ModelNumbers {
  readonly nLayer: number;
  readonly layers: readonly LayerShape[];
  /** The different rotations of its layers. */
  readonly ropes: readonly RopeParameters[];
  /** The layers that methods act on, by index. */
  readonly compressible: readonly number[];
  /** Heads of the compressible layers, which are alike. */
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
}

/**
 * A model with these layers.
 *
 * @throws `UNSUPPORTED` where layers that methods act on have different heads, and where none attends
 */
export function modelOf(numbers: ModelNumbers, layers: readonly LayerShape[]): HyperParameters {
  const compressible = compressibleLayers(layers);
  const attending = layers.filter(({ recurrence }) => recurrence === undefined);
  const [any] = attending;
  if (any === undefined) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      "none of its layers has attention, so there is no KV cache to compress",
    );
  }
  const [first = layers.indexOf(any)] = compressible;
  const { nHead, nHeadKv, headDim } = layers[first] as LayerShape;
  const other = compressible.find((il) => {
    const layer = layers[il] as LayerShape;
    return layer.nHead !== nHead || layer.nHeadKv !== nHeadKv || layer.headDim !== headDim;
  });
  if (other !== undefined) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `the heads of layer ${other} differ from those of layer ${first}; only layers with a sliding window may differ`,
    );
  }
  const ropes = [...new Set(attending.map((layer) => layer.rope))];
  return {
    ...numbers,
    nLayer: layers.length,
    layers,
    ropes,
    compressible,
    nHead,
    nHeadKv,
    headDim,
  };
}

/** What most families' files say in the same keys: a family starts from it, and says what is different. */
export interface CommonNumbers {
  readonly keys: FileKeys;
  readonly numbers: ModelNumbers;
  readonly nLayer: number;
  /** A layer as llama has it: softmax over all tokens, one gated network with silu, or Mixtral's experts. */
  readonly layer: LayerShape;
  /** Which layers have kv heads; all of them where the family's may not lack them. */
  readonly hasHeads: readonly boolean[];
}

/** What the architecture says for itself. */
export interface FamilyTraits {
  readonly norms?: "rms" | "layer";
  /** Whether files say by 0 kv heads that a layer does not attend. */
  readonly mayLackHeads?: boolean;
  /** Whether sections of a head follow a place in time, height and width: all three are a text token's position. */
  readonly rotatesInSections?: boolean;
  /** Whether layers may differ in heads and widths: `layer` has those of the first, and the family reads the others'. */
  readonly layersDiffer?: boolean;
}

/** Reads them; how pairs are rotated and the traits are the architecture's own. */
export function readCommon(
  metadata: Metadata,
  architecture: string,
  ropeMode: number,
  traits: FamilyTraits = {},
): CommonNumbers {
  const { norms = "rms", mayLackHeads = false, rotatesInSections = false } = traits;
  const keys = new FileKeys(metadata, architecture, traits.layersDiffer);
  const whole = (name: string, max: number) => keys.required(name, keys.wholePerModel(name, max));

  const nLayer = whole("block_count", MAX.layers);
  const nEmbd = whole("embedding_length", MAX.width);
  const nHead = whole("attention.head_count", MAX.heads);
  const kvHeads = "attention.head_count_kv";
  const { value: nHeadKv, has: hasHeads } = mayLackHeads
    ? keys.wholeWhereNotZero(kvHeads, MAX.heads, nLayer)
    : {
        value: keys.wholePerModel(kvHeads, MAX.heads) ?? nHead,
        has: new Array<boolean>(nLayer).fill(true),
      };
  const headDim = readHeadDim(keys, nEmbd / nHead);
  if (nHead % nHeadKv !== 0) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${nHead} query heads cannot share ${nHeadKv} kv heads evenly`,
    );
  }
  const nCtx = whole("context_length", MAX.context);
  const layer: LayerShape = {
    nHead,
    nHeadKv,
    headDim,
    scale: 1 / Math.sqrt(headDim),
    rope: readRope(keys, { headDim, mode: ropeMode, nCtx, rotatesInSections }),
    sinkLogits: false,
    ffn: readFeedForward(keys),
  };
  // A family has one of them: of norms by the root mean square, or of layer norms.
  const epsilon = `attention.layer_norm_${norms === "rms" ? "rms_" : ""}epsilon`;
  const numbers: ModelNumbers = {
    architecture,
    name: metadata.string("general.name") ?? architecture,
    nEmbd,
    nVocab: readVocabularySize(keys),
    nCtx,
    normEpsilon: keys.required(epsilon, keys.positive(epsilon)),
    scales: { embedding: 1, residual: 1, logits: 1 },
  };
  return { keys, numbers, nLayer, layer, hasHeads };
}

/** A model whose layers are all alike. */
export function uniform({ numbers, nLayer, layer }: CommonNumbers): HyperParameters {
  return modelOf(numbers, new Array<LayerShape>(nLayer).fill(layer));
}

/**
 * Layers of which some have a sliding window: all but the last of every `period`, unless the file says otherwise.
 *
 * @param local what those with a window have for themselves
 */
export function withWindows(
  { keys, nLayer, layer }: Pick<CommonNumbers, "keys" | "nLayer" | "layer">,
  { window, period }: { readonly window: number | undefined; readonly period: number },
  local: Partial<LayerShape> = {},
): LayerShape[] {
  const windowed = { ...layer, window, ...local };
  const pattern = keys.windowPattern(nLayer, period);
  return pattern.map((hasWindow) => (hasWindow && window !== undefined ? windowed : layer));
}

/** The rotation of layers with a window, where the file says another base for them. */
export function localRotation(keys: FileKeys, { rope }: LayerShape): Partial<LayerShape> {
  const freqBase = keys.positive("rope.freq_base_swa");
  return freqBase === undefined ? {} : { rope: { ...rope, freqBase } };
}

/** What a file asks for and is not done, in sentences: libllama does not do it either. */
export function ignoredKeys(
  metadata: Metadata,
  { architecture, nCtx, layers }: Pick<HyperParameters, "architecture" | "nCtx" | "layers">,
): string[] {
  const key = `${architecture}.attention.sliding_window`;
  const window = metadata.integer(key, 0, MAX.context) ?? 0;
  const isUsed = layers.some((layer) => layer.window !== undefined);
  if (window === 0 || window >= nCtx || isUsed) return [];
  return [
    `${key} is ${window}: every layer attends to all tokens instead, so longer prompts may be answered otherwise than the model was trained to`,
  ];
}

function readFeedForward(keys: FileKeys): FeedForwardShape {
  const nExpert = keys.whole("expert_count", MAX.experts) ?? 0;
  const nExpertUsed = keys.whole("expert_used_count", MAX.experts) ?? 0;
  if (nExpertUsed > nExpert || (nExpert > 0 && nExpertUsed === 0)) {
    throw new PyramidKVError("BAD_FILE", `${nExpertUsed} of ${nExpert} experts are used per token`);
  }
  const ofExpert = keys.whole("expert_feed_forward_length", MAX.feedForward) || undefined;
  const ofLayer = keys.wholePerModel("feed_forward_length", MAX.feedForward);
  const nFf = nExpert > 0 ? (ofExpert ?? ofLayer) : ofLayer;
  return {
    kind: nExpert > 0 ? "moe" : "dense",
    nFf: keys.required("feed_forward_length", nFf),
    activation: "silu",
    nExpert,
    nExpertUsed,
    nFfShared: keys.whole("expert_shared_feed_forward_length", MAX.feedForward) ?? 0,
    routing: {
      gate: "softmax",
      renormalises: true,
    },
  };
}

/** Elements of a head's key, and of its value; `of` ends the names of the keys that say it of layers with a window. */
export function readHeadDim(keys: FileKeys, fallback: number, of = ""): number {
  const read = (name: string) => keys.whole(`attention.${name}${of}`, MAX.headDim, 2) ?? fallback;
  const [keyLength, valueLength] = [read("key_length"), read("value_length")];
  if (!Number.isInteger(keyLength) || keyLength % 2 !== 0 || keyLength !== valueLength) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `keys of ${keyLength} and values of ${valueLength} elements per head; equal even sizes are supported`,
    );
  }
  return keyLength;
}

function readVocabularySize({ metadata, architecture }: FileKeys): number {
  const size =
    metadata.integer(`${architecture}.vocab_size`, 1, MAX.vocabulary) ??
    metadata.array("tokenizer.ggml.tokens")?.length;
  return required(size, `${architecture}.vocab_size or tokenizer.ggml.tokens`);
}
