import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import { ROPE_NORM } from "../../ggml/operations/nodes.ts";

/** GLM 4 (0414): norms before and behind each half of a layer, half of each head rotated, gate and rest in one matrix. */
export const glm4: Architecture = {
  name: "glm4",
  summary: "GLM 4 (0414)",
  provedOn: "random weights",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "glm4", ROPE_NORM)),
  modelTensors,
  layerTensors: layerTensors({ outputBias: false, hasPostNorms: true, joinsGate: true }),
};
