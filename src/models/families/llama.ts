import type { Architecture } from "../architecture.ts";
import {
  attentionTensors,
  ffnTensors,
  modelTensors,
  namesOf,
  normTensor,
  ropeFactors,
} from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NORM } from "../rope-keys.ts";

/**
 * The `llama` architecture: Llama 1 to 3, SmolLM, TinyLlama, Mistral 7B, and with experts Mixtral.
 * RMS norms, grouped-query attention with RoPE on neighbouring pairs, gated feed-forward network.
 */
export const llama: Architecture = {
  name: "llama",
  summary: "Llama 1-3, SmolLM, TinyLlama, Mistral, Mixtral",
  provedOn: "SmolLM2 135M",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "llama", ROPE_NORM)),
  modelTensors: (hp) => ({ ...modelTensors(hp), ...ropeFactors(hp) }),
  layerTensors({ nEmbd, layers }, il) {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    return {
      ...normTensor(nEmbd, "attnNorm", name("attn_norm")),
      ...attentionTensors(nEmbd, shape, name),
      ...normTensor(nEmbd, "ffnNorm", name("ffn_norm")),
      ...ffnTensors(nEmbd, shape.ffn, name),
    };
  },
};
