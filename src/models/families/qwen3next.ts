import type { Architecture } from "../architecture.ts";
import { deltaNetTensors, hybridLayers } from "../blocks/delta-net.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { ffnTensors, modelTensors, namesOf, normTensor } from "../blocks/tensors.ts";
import { modelOf, readCommon } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";
import { sharedRouterTensor } from "./qwen2moe.ts";

const attending = layerTensors({
  biases: false,
  ffnBiases: false,
  hasHeadNorms: true,
  ffnNorm: "post_attention_norm",
});

/** The rules of a layer that attends or has a delta net, before a feed-forward network, dense or of experts. */
export function hybridTensors(joinsRates: boolean): Architecture["layerTensors"] {
  return (hp, il) => {
    const { nEmbd, layers } = hp;
    const { recurrence, ffn } = layers[il] as LayerShape;
    const name = namesOf(il);
    const router = ffn.nFfShared > 0 ? sharedRouterTensor(nEmbd, il) : {};
    if (recurrence?.kind !== "delta-net") return { ...attending(hp, il), ...router };
    return {
      ...deltaNetTensors(nEmbd, recurrence, il, { joinsRates }),
      ...normTensor(nEmbd, "ffnNorm", name("post_attention_norm")),
      ...ffnTensors(nEmbd, ffn, name, { biases: false }),
      ...router,
    };
  };
}

/** Qwen3-Next: gated delta nets, every fourth layer attention with gates; experts and one for all tokens. */
export const qwen3next: Architecture = {
  name: "qwen3next",
  summary: "Qwen3-Next (gated delta nets and attention)",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "qwen3next", ROPE_NEOX);
    return modelOf(common.numbers, hybridLayers(common, { sharesNeighbours: true }));
  },
  modelTensors,
  layerTensors: hybridTensors(true),
};
