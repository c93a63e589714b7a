import type { Architecture } from "../architecture.ts";
import { modelTensors, ropeFactors } from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NORM } from "../../ggml/operations/nodes.ts";
import { NO_ROPE } from "../rope-keys.ts";
import { llama } from "./llama.ts";

function familyOf(name: string, summary: string): Architecture {
  return {
    name,
    summary,
    provedOn: "random weights",
    hyperParameters(metadata) {
      const common = readCommon(metadata, name, ROPE_NORM);
      const { keys, numbers } = common;
      const scales = {
        embedding: keys.positiveOrNone("embedding_scale") ?? 1,
        residual: keys.positiveOrNone("residual_scale") ?? 1,
        logits: 1 / keys.required("logit_scale", keys.positive("logit_scale")),
      };
      const isRotated = metadata.boolean(keys.key("rope.scaling.finetuned")) ?? true;
      const layer: LayerShape = {
        ...common.layer,
        scale: keys.positiveOrNone("attention.scale") ?? common.layer.scale,
        rope: isRotated ? common.layer.rope : NO_ROPE,
      };
      return uniform({ ...common, numbers: { ...numbers, scales }, layer });
    },
    modelTensors: (hp) => ({ ...modelTensors(hp), ...ropeFactors(hp) }),
    layerTensors: llama.layerTensors,
  };
}

/** Granite 3: as llama, with factors on embeddings, attention, residuals and logits; with experts, perhaps one for all tokens. */
export const granite = familyOf("granite", "Granite 3");
export const graniteMoe = familyOf("granitemoe", "Granite 3 with experts");
