import type { Architecture } from "../architecture.ts";
import {
  attentionTensors,
  ffnTensors,
  headNormTensors,
  modelTensors,
  namesOf,
  normTensor,
} from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** Qwen 3: as llama, with a norm of each query and key before they are rotated (arXiv 2505.09388). */
export const qwen3: Architecture = {
  name: "qwen3",
  summary: "Qwen 3",
  provedOn: "random weights",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "qwen3", ROPE_NEOX)),
  modelTensors,
  layerTensors({ nEmbd, layers }, il) {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    return {
      ...normTensor(nEmbd, "attnNorm", name("attn_norm")),
      ...attentionTensors(nEmbd, shape, name, { outputBias: false }),
      ...headNormTensors(shape, name),
      ...normTensor(nEmbd, "ffnNorm", name("ffn_norm")),
      ...ffnTensors(nEmbd, shape.ffn, name, { biases: false }),
    };
  },
};
