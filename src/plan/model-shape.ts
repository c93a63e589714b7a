import { TYPES, type TensorType } from "../ggml/types.ts";
import { naming } from "../errors.ts";
import { openGguf, readHeader } from "../gguf/file.ts";
import type { GgufHeader } from "../gguf/parse.ts";
import { joinParts } from "../gguf/split.ts";
import { locateModel } from "../hub/resolve.ts";
import { architectureOf } from "../models/architectures.ts";
import type { HyperParameters } from "../models/hyper-parameters.ts";
import {
  compressibleLayers,
  type FeedForwardShape,
  type LayerShape,
} from "../models/layer-shape.ts";

/** The numbers of a layer that its memory follows from. */
export interface PlannedLayer extends Pick<
  LayerShape,
  "nHead" | "nHeadKv" | "headDim" | "window" | "recurrence" | "sharesKvOf" | "gatesAttention"
> {
  readonly ffn: Pick<FeedForwardShape, "kind" | "nFf" | "nExpert" | "nExpertUsed">;
}

/** The numbers of a model that its memory follows from. */
export interface ModelShape extends Pick<
  HyperParameters,
  "name" | "nLayer" | "nEmbd" | "nVocab" | "nCtx" | "compressible" | "nHead" | "nHeadKv" | "headDim"
> {
  readonly layers: readonly PlannedLayer[];
  readonly weightBytes: number;
}

/** A model whose layers differ in nothing but their windows. */
interface Published {
  readonly name: string;
  readonly nLayer: number;
  readonly nEmbd: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
  readonly nFf: number;
  readonly nVocab: number;
  readonly nCtx: number;
  /** Whether the output matrix is the embedding's. */
  readonly tied?: boolean;
  readonly nExpert?: number;
  readonly nExpertUsed?: number;
  /** Tokens that a layer sees at most, for layers with a sliding window. */
  windowOf?(il: number): number | undefined;
}

/** Gemma 3: five layers of 1,024 tokens, then one that sees all (arXiv 2503.19786). */
const gemma3Window = (il: number) => (il % 6 === 5 ? undefined : 1024);

// prettier-ignore
const LLAMA_3 = { nHeadKv: 8, headDim: 128, nVocab: 128_256, nCtx: 8192 } as const;
// prettier-ignore
const MISTRAL = { nLayer: 32, nEmbd: 4096, nHead: 32, nHeadKv: 8, headDim: 128, nFf: 14_336, nVocab: 32_000, nCtx: 32_768 } as const;
// prettier-ignore
const QWEN_3 = { nHeadKv: 8, headDim: 128, nVocab: 151_936, nCtx: 40_960 } as const;
const GEMMA_3 = { nVocab: 262_144, nCtx: 131_072, tied: true, windowOf: gemma3Window } as const;

/** Models that can be planned for without a file: the numbers of their published configurations. */
// prettier-ignore
export const PUBLISHED = {
  "llama-3-8b": { name: "Llama 3 8B", ...LLAMA_3, nLayer: 32, nEmbd: 4096, nHead: 32, nFf: 14_336 },
  "llama-3-70b": { name: "Llama 3 70B", ...LLAMA_3, nLayer: 80, nEmbd: 8192, nHead: 64, nFf: 28_672 },
  "mistral-7b": { name: "Mistral 7B v0.2", ...MISTRAL },
  "mixtral-8x7b": { name: "Mixtral 8x7B", ...MISTRAL, nExpert: 8, nExpertUsed: 2 },
  "qwen3-0.6b": { name: "Qwen3 0.6B", ...QWEN_3, nLayer: 28, nEmbd: 1024, nHead: 16, nFf: 3072, tied: true },
  "qwen3-8b": { name: "Qwen3 8B", ...QWEN_3, nLayer: 36, nEmbd: 4096, nHead: 32, nFf: 12_288 },
  "qwen3-32b": { name: "Qwen3 32B", ...QWEN_3, nLayer: 64, nEmbd: 5120, nHead: 64, nFf: 25_600 },
  "gemma-3-4b": { name: "Gemma 3 4B", ...GEMMA_3, nLayer: 34, nEmbd: 2560, nHead: 8, nHeadKv: 4, headDim: 256, nFf: 10_240 },
  "gemma-3-27b": { name: "Gemma 3 27B", ...GEMMA_3, nLayer: 62, nEmbd: 5376, nHead: 32, nHeadKv: 16, headDim: 128, nFf: 21_504 },
} as const satisfies Record<string, Published>;

export type PublishedName = keyof typeof PUBLISHED;

/** The types that a published model's weights may be planned in. */
export const WEIGHT_TYPES = Object.values(TYPES).flatMap((t) => (t.weight ? [t.name] : []));

/** A published model with weights of one type. */
export function publishedShape(name: PublishedName, type: TensorType): ModelShape {
  const model: Published = PUBLISHED[name];
  const { nLayer, nEmbd, nVocab, nCtx, nHead, nHeadKv, headDim, nFf } = model;
  const { nExpert = 0, nExpertUsed = 0 } = model;
  const ffn = { kind: nExpert > 0 ? "moe" : "dense", nFf, nExpert, nExpertUsed } as const;
  const layers = Array.from({ length: nLayer }, (_, il) => {
    return { nHead, nHeadKv, headDim, ffn, window: model.windowOf?.(il) };
  });
  return {
    name: model.name,
    nLayer,
    nEmbd,
    nVocab,
    nCtx,
    layers,
    compressible: compressibleLayers(layers),
    nHead,
    nHeadKv,
    headDim,
    weightBytes: (parametersOf(model) / type.blockSize) * type.blockBytes,
  };
}

/** Weights of the matrices; norms and biases are too few to count. */
export function parametersOf(m: Published): number {
  const embedding = m.nVocab * m.nEmbd * (m.tied === true ? 1 : 2);
  const attention = m.nEmbd * m.headDim * 2 * (m.nHead + m.nHeadKv);
  const experts = m.nExpert ?? 0;
  const feedForward = 3 * m.nEmbd * m.nFf * Math.max(1, experts) + m.nEmbd * experts;
  return embedding + m.nLayer * (attention + feedForward);
}

/**
 * The shape of a model by its GGUF header alone: of a file here, or of one on the hub, of which no more is fetched.
 *
 * @param name path of a .gguf file, an alias, or `owner/repo[:quant]`
 * @throws what reading a header and asking the hub throw
 */
export async function shapeOfModel(name: string, signal?: AbortSignal): Promise<ModelShape> {
  const place = await locateModel(name, { signal, alsoKnown: Object.keys(PUBLISHED) });
  if (typeof place !== "string") {
    const headers: GgufHeader[] = [];
    for (const part of place) {
      try {
        headers.push(await readHeader((size) => part.read(size), part.bytes));
      } catch (error) {
        throw naming(part.name, error);
      }
    }
    return shapeOf(headers.length === 1 ? (headers[0] as GgufHeader) : joinParts(headers));
  }
  await using file = await openGguf(place);
  return shapeOf(file);
}

function shapeOf({ metadata, tensors }: GgufHeader): ModelShape {
  const hp = architectureOf(metadata).hyperParameters(metadata);
  let weightBytes = 0;
  for (const { bytes } of tensors.values()) weightBytes += bytes;
  return { ...hp, weightBytes };
}
