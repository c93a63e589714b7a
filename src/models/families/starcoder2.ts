import type { Architecture } from "../architecture.ts";
import {
  attentionTensors,
  biasedNormTensors,
  modelTensors,
  namesOf,
  plainFfnTensors,
} from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** StarCoder 2: layer norms, biases everywhere, and a feed-forward network without a gate (arXiv 2402.19173). */
export const starcoder2: Architecture = {
  name: "starcoder2",
  summary: "StarCoder 2",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "starcoder2", ROPE_NEOX, { norms: "layer" });
    const { layer } = common;
    return uniform({ ...common, layer: { ...layer, ffn: { ...layer.ffn, activation: "gelu" } } });
  },
  modelTensors: (hp) => ({
    ...modelTensors(hp),
    ...biasedNormTensors(hp.nEmbd, "outputNorm", "output_norm"),
  }),
  layerTensors({ nEmbd, layers }, il) {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    return {
      ...biasedNormTensors(nEmbd, "attnNorm", name("attn_norm")),
      ...attentionTensors(nEmbd, shape, name, { biases: true }),
      ...biasedNormTensors(nEmbd, "ffnNorm", name("ffn_norm")),
      ...plainFfnTensors(nEmbd, shape.ffn, name, { biases: true }),
    };
  },
};
