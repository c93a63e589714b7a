import type { Architecture } from "../architecture.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { modelOf, readCommon } from "../hyper-parameters.ts";
import { ROPE_NORM } from "../../ggml/operations/nodes.ts";
import { NO_ROPE } from "../rope-keys.ts";
import { llama } from "./llama.ts";

/** SmolLM 3: as llama, without rotation in every fourth layer (its published configuration; the files do not say it). */
export const smollm3: Architecture = {
  name: "smollm3",
  summary: "SmolLM 3",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const { numbers, nLayer, layer } = readCommon(metadata, "smollm3", ROPE_NORM);
    const unrotated = { ...layer, rope: NO_ROPE };
    const layers = Array.from({ length: nLayer }, (_, il) =>
      (il + 1) % 4 === 0 ? unrotated : layer,
    );
    return modelOf(numbers, layers);
  },
  modelTensors,
  layerTensors: llama.layerTensors,
};
