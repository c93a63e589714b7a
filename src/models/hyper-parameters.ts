import { PyramidKVError } from "../errors.ts";
import type { RopeParameters } from "../ggml/graph.ts";
import { required, type Metadata } from "../gguf/metadata.ts";
import { arrayNumbers } from "../gguf/value.ts";
import { compressibleLayers, type FeedForwardShape, type LayerShape } from "./layer-shape.ts";

/** The numbers of a model that none of its layers has for itself. */
export interface ModelNumbers {
  readonly architecture: string;
  readonly name: string;
  readonly nEmbd: number;
  readonly nVocab: number;
  /** Context that the model was trained for, in tokens. */
  readonly nCtx: number;
  readonly normEpsilon: number;
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
 * @throws `UNSUPPORTED` where layers that methods act on have different heads
 */
export function modelOf(numbers: ModelNumbers, layers: readonly LayerShape[]): HyperParameters {
  const compressible = compressibleLayers(layers);
  const [first = 0] = compressible;
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
  const ropes = [...new Set(layers.map((layer) => layer.rope))];
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

/** Upper bounds, far above any published model (Llama 3.1 405B: 126 layers, width 16,384, 128 heads). */
const MAX = {
  layers: 512, // libllama's LLAMA_MAX_LAYERS
  width: 262_144,
  heads: 1_024,
  headDim: 1_024,
  context: 2 ** 28,
  vocabulary: 2 ** 24,
  experts: 512, // libllama's LLAMA_MAX_EXPERTS
};

/** Reads the parameters that the llama family shares, all layers alike; `ropeMode` is the architecture's own. */
export function readHyperParameters(
  metadata: Metadata,
  architecture: string,
  ropeMode: number,
): HyperParameters {
  const key = (name: string) => `${architecture}.${name}`;
  const whole = (name: string, max: number) =>
    required(wholePerModel(metadata, key(name), max), key(name));

  const nLayer = whole("block_count", MAX.layers);
  const nEmbd = whole("embedding_length", MAX.width);
  const nHead = whole("attention.head_count", MAX.heads);
  const nHeadKv = wholePerModel(metadata, key("attention.head_count_kv"), MAX.heads) ?? nHead;
  const headDim = readHeadDim(metadata, architecture, nEmbd, nHead);
  if (nHead % nHeadKv !== 0) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${nHead} query heads cannot share ${nHeadKv} kv heads evenly`,
    );
  }
  const nCtx = whole("context_length", MAX.context);
  const nExpert = metadata.integer(key("expert_count"), 0, MAX.experts) ?? 0;
  const nExpertUsed = metadata.integer(key("expert_used_count"), 0, MAX.experts) ?? 0;
  if (nExpertUsed > nExpert || (nExpert > 0 && nExpertUsed === 0)) {
    throw new PyramidKVError("BAD_FILE", `${nExpertUsed} of ${nExpert} experts are used per token`);
  }
  const ffn: FeedForwardShape = {
    kind: nExpert > 0 ? "moe" : "dense",
    nFf: whole("feed_forward_length", MAX.width * 8),
    nExpert,
    nExpertUsed,
  };
  const layer: LayerShape = {
    nHead,
    nHeadKv,
    headDim,
    scale: 1 / Math.sqrt(headDim),
    rope: readRope(metadata, architecture, headDim, ropeMode, nCtx),
    sinkLogits: false,
    ffn,
  };
  const epsilon = key("attention.layer_norm_rms_epsilon");
  const numbers: ModelNumbers = {
    architecture,
    name: metadata.string("general.name") ?? architecture,
    nEmbd,
    nVocab: readVocabularySize(metadata, architecture),
    nCtx,
    normEpsilon: required(positive(metadata, epsilon), epsilon),
  };
  return modelOf(numbers, new Array<LayerShape>(nLayer).fill(layer));
}

/** What a file asks for and is not done, in sentences: libllama does not do it either. */
export function ignoredKeys(
  metadata: Metadata,
  { architecture, nCtx }: Pick<HyperParameters, "architecture" | "nCtx">,
): string[] {
  const key = `${architecture}.attention.sliding_window`;
  const window = metadata.integer(key, 0, MAX.context) ?? 0;
  if (window === 0 || window >= nCtx) return [];
  return [
    `${key} is ${window}: every layer attends to all tokens instead, so longer prompts may be answered otherwise than the model was trained to`,
  ];
}

/** A number that some files give per layer; layers that differ are refused, not averaged. */
function wholePerModel(metadata: Metadata, key: string, max: number): number | undefined {
  const entry = metadata.entries.get(key);
  if (entry?.type !== "array") return metadata.integer(key, 1, max);
  const values = new Set(arrayNumbers(entry, key));
  const [first] = values;
  if (values.size !== 1 || first === undefined || !(first >= 1 && first <= max)) {
    throw new PyramidKVError("UNSUPPORTED", `${key} differs between layers`);
  }
  return first;
}

/** A number above 0: ggml aborts on a negative epsilon, and a negative scale has no logarithm. */
function positive(metadata: Metadata, key: string): number | undefined {
  const value = metadata.number(key);
  if (value !== undefined && !(value > 0)) {
    throw new PyramidKVError("BAD_FILE", `${key} is ${value}, a number above 0 was expected`);
  }
  return value;
}

function readHeadDim(metadata: Metadata, arch: string, nEmbd: number, nHead: number): number {
  const fallback = nEmbd / nHead;
  const read = (name: string) =>
    metadata.integer(`${arch}.attention.${name}`, 2, MAX.headDim) ?? fallback;
  const [keyLength, valueLength] = [read("key_length"), read("value_length")];
  if (!Number.isInteger(keyLength) || keyLength % 2 !== 0 || keyLength !== valueLength) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `keys of ${keyLength} and values of ${valueLength} elements per head; equal even sizes are supported`,
    );
  }
  return keyLength;
}

function readVocabularySize(metadata: Metadata, architecture: string): number {
  const size =
    metadata.integer(`${architecture}.vocab_size`, 1, MAX.vocabulary) ??
    metadata.array("tokenizer.ggml.tokens")?.length;
  return required(size, `${architecture}.vocab_size or tokenizer.ggml.tokens`);
}

/** RoPE with its scaling, as llama.cpp resolves it (`llama_context`, `load_hparams`). */
function readRope(
  metadata: Metadata,
  arch: string,
  headDim: number,
  mode: number,
  nCtx: number,
): RopeParameters {
  const number = (name: string) => positive(metadata, `${arch}.rope.${name}`);
  const dims = metadata.integer(`${arch}.rope.dimension_count`, 1, MAX.headDim) ?? headDim;
  if (dims > headDim || dims % 2 !== 0) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${arch}.rope.dimension_count is ${dims}, an even number up to the head size ${headDim} was expected`,
    );
  }
  const scaling = metadata.string(`${arch}.rope.scaling.type`) ?? "linear";
  if (!["none", "linear", "yarn"].includes(scaling)) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `rope scaling "${scaling}" is not supported; none, linear and yarn are`,
    );
  }
  const factor = number("scaling.factor") ?? number("scale_linear") ?? 1;
  const freqScale = scaling === "none" ? 1 : 1 / factor;
  const yarn = scaling === "yarn";
  // ggml multiplies by 1 + 0.1 ln(factor) under YaRN, and so does the model's own factor: cancel one.
  const mscale = freqScale >= 1 ? 1 : 1 - 0.1 * Math.log(freqScale);
  const cancel = yarn ? mscale / (1 - 0.1 * Math.log(freqScale)) : 1;
  return {
    dims,
    mode,
    nCtxOrig:
      metadata.integer(`${arch}.rope.scaling.original_context_length`, 1, MAX.context) ?? nCtx,
    freqBase: number("freq_base") ?? 10_000,
    freqScale,
    extFactor: yarn ? 1 : 0,
    attnFactor: cancel * (number("scaling.attn_factor") ?? 1),
    betaFast: 32,
    betaSlow: 1,
  };
}
