import type { Architecture } from "../architecture.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import { ROPE_NORM } from "../../ggml/operations/nodes.ts";
import { llama } from "./llama.ts";

/** Ministral 3: as llama, with YaRN, and queries that grow with their position. */
export const mistral3: Architecture = {
  name: "mistral3",
  summary: "Ministral 3",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "mistral3", ROPE_NORM);
    const { keys, layer } = common;
    const scale = keys.positiveOrNone("attention.temperature_scale");
    if (scale === undefined) return uniform(common);
    const queryGrowth = { scale, every: layer.rope.nCtxOrig };
    return uniform({ ...common, layer: { ...layer, queryGrowth } });
  },
  modelTensors: llama.modelTensors,
  layerTensors: llama.layerTensors,
};
