import type { Architecture } from "../architecture.ts";
import {
  attentionTensors,
  ffnTensors,
  jointNormTensors,
  modelTensors,
  namesOf,
  normTensor,
} from "../blocks/tensors.ts";
import { modelOf, readCommon, withWindows } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** OLMo 2 and 3: norms behind each half of a layer, and of all queries and all keys; OLMo 3 has windows, whose layers are rotated without YaRN. */
export const olmo2: Architecture = {
  name: "olmo2",
  summary: "OLMo 2, 3",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const { keys, numbers, nLayer, layer } = readCommon(metadata, "olmo2", ROPE_NEOX);
    const rope = { ...layer.rope, freqScale: 1, extFactor: 0, attnFactor: 1 };
    const window = keys.window();
    return modelOf(numbers, withWindows({ keys, nLayer, layer }, { window, period: 4 }, { rope }));
  },
  modelTensors,
  layerTensors({ nEmbd, layers }, il) {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    return {
      ...attentionTensors(nEmbd, shape, name, { biases: false }),
      ...jointNormTensors(shape, name),
      ...normTensor(nEmbd, "attnPostNorm", name("post_attention_norm")),
      ...ffnTensors(nEmbd, shape.ffn, name, { biases: false }),
      ...normTensor(nEmbd, "ffnPostNorm", name("post_ffw_norm")),
    };
  },
};
