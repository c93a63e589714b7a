import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { readCommon, uniform, type CommonNumbers } from "../hyper-parameters.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** Gemma 1: as llama, with embeddings times √width and a gate of gelu (arXiv 2403.08295). */
export const gemma: Architecture = {
  name: "gemma",
  summary: "Gemma 1",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "gemma", ROPE_NEOX);
    return uniform(asGemma(common));
  },
  modelTensors,
  layerTensors: layerTensors({ biases: false, ffnBiases: false }),
};

/** Factor on Gemma's queries. A 27B alone, known by its layers, has the width of a head as the embeddings are cut; its files say it nowhere else. */
export function queryFactorOf(
  { numbers, nLayer, layer }: CommonNumbers,
  layersOf27B: number,
): number {
  const { headDim, nHead } = layer;
  return 1 / Math.sqrt(nLayer === layersOf27B ? numbers.nEmbd / nHead : headDim);
}

/** What all Gemmas have: embeddings times √width, and gelu. */
export function asGemma(common: CommonNumbers): CommonNumbers {
  const { numbers, layer } = common;
  return {
    ...common,
    numbers: { ...numbers, scales: { ...numbers.scales, embedding: Math.sqrt(numbers.nEmbd) } },
    layer: { ...layer, ffn: { ...layer.ffn, activation: "gelu" } },
  };
}
