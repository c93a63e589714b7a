import type { Architecture } from "../architecture.ts";
import {
  attentionTensors,
  fusedFfnTensors,
  modelTensors,
  namesOf,
  normTensor,
} from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NORM } from "../rope-keys.ts";

/** GLM 4 (0414): norms before and behind each half of a layer, half of each head rotated, gate and rest in one matrix. */
export const glm4: Architecture = {
  name: "glm4",
  summary: "GLM 4 (0414)",
  provedOn: "random weights",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "glm4", ROPE_NORM)),
  modelTensors,
  layerTensors({ nEmbd, layers }, il) {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    return {
      ...normTensor(nEmbd, "attnNorm", name("attn_norm")),
      ...attentionTensors(nEmbd, shape, name, { outputBias: false }),
      ...normTensor(nEmbd, "attnPostNorm", name("post_attention_norm")),
      ...normTensor(nEmbd, "ffnNorm", name("ffn_norm")),
      ...fusedFfnTensors(nEmbd, shape.ffn, name),
      ...normTensor(nEmbd, "ffnPostNorm", name("post_ffw_norm")),
    };
  },
};
