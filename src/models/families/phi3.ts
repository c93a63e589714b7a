import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { longRopeFactors, modelTensors } from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
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
  layerTensors: layerTensors({ joinsHeads: true, joinsGate: true }),
};
