import type { Architecture } from "../architecture.ts";
import {
  fusedAttentionTensors,
  fusedFfnTensors,
  longRopeFactors,
  modelTensors,
  namesOf,
  normTensor,
} from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/**
 * Phi 3 and 4: as llama, with queries, keys and values in one matrix, gate and rest in another, and factors on the wave
 * lengths for short contexts and for long ones (arXiv 2404.14219).
 */
export const phi3: Architecture = {
  name: "phi3",
  summary: "Phi 3, 4",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "phi3", ROPE_NEOX);
    const { layer } = common;
    return uniform({ ...common, layer: { ...layer, scale: 1, queryFactor: layer.scale } });
  },
  modelTensors: (hp) => ({ ...modelTensors(hp), ...longRopeFactors(hp) }),
  layerTensors({ nEmbd, layers }, il) {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    return {
      ...normTensor(nEmbd, "attnNorm", name("attn_norm")),
      ...fusedAttentionTensors(nEmbd, shape, name),
      ...normTensor(nEmbd, "ffnNorm", name("ffn_norm")),
      ...fusedFfnTensors(nEmbd, shape.ffn, name),
    };
  },
};
