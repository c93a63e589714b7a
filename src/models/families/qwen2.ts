import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** Qwen 1.5, 2 and 2.5: as llama, with biases on queries, keys and values, and pairs half a head apart (arXiv 2412.15115). */
export const qwen2: Architecture = {
  name: "qwen2",
  summary: "Qwen 1.5, 2, 2.5",
  provedOn: "Qwen2.5 Coder 0.5B and 1.5B",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "qwen2", ROPE_NEOX)),
  modelTensors,
  layerTensors: layerTensors({ outputBias: false, ffnBiases: false }),
};
