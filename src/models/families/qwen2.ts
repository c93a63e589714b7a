import type { Architecture } from "../architecture.ts";
import {
  attentionTensors,
  ffnTensors,
  modelTensors,
  namesOf,
  normTensor,
} from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** Qwen 1.5, 2 and 2.5: as llama, with biases on queries, keys and values, and pairs half a head apart (arXiv 2412.15115). */
export const qwen2: Architecture = {
  name: "qwen2",
  summary: "Qwen 1.5, 2, 2.5",
  provedOn: "Qwen2.5 Coder 0.5B and 1.5B",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "qwen2", ROPE_NEOX)),
  modelTensors,
  layerTensors({ nEmbd, layers }, il) {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    return {
      ...normTensor(nEmbd, "attnNorm", name("attn_norm")),
      ...attentionTensors(nEmbd, shape, name, { outputBias: false }),
      ...normTensor(nEmbd, "ffnNorm", name("ffn_norm")),
      ...ffnTensors(nEmbd, shape.ffn, name, { biases: false }),
    };
  },
};
