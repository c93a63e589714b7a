import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** Qwen 3: as llama, with a norm of each query and key before they are rotated (arXiv 2505.09388). */
export const qwen3: Architecture = {
  name: "qwen3",
  summary: "Qwen 3",
  provedOn: "random weights",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "qwen3", ROPE_NEOX)),
  modelTensors,
  layerTensors: layerTensors({ outputBias: false, ffnBiases: false, hasHeadNorms: true }),
};
