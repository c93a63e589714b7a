import type { Architecture, TensorRules } from "../architecture.ts";
import { modelTensors, namesOf } from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import { MAX } from "../file-keys.ts";
import type { FeedForwardShape } from "../layer-shape.ts";
import { qwen2 } from "./qwen2.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** Qwen 1.5 and 2 with experts, whose weights are left as they are, and one that every token passes (arXiv 2407.10671). */
export const qwen2moe: Architecture = {
  name: "qwen2moe",
  summary: "Qwen 1.5 and 2 with experts (A2.7B, 57B-A14B)",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "qwen2moe", ROPE_NEOX);
    const { keys, layer } = common;
    const { ffn } = layer;
    const dense = "feed_forward_length";
    const nFfDense = keys.required(dense, keys.wholePerModel(dense, MAX.feedForward));
    const ofExpert = keys.whole("expert_feed_forward_length", nFfDense) ?? 0;
    const shared: FeedForwardShape = {
      ...ffn,
      nFf: ofExpert > 0 ? ofExpert : Math.floor(nFfDense / Math.max(1, ffn.nExpertUsed)),
      nFfShared: ffn.nFfShared > 0 ? ffn.nFfShared : nFfDense,
      routing: { ...ffn.routing, renormalises: false, dividesSilu: true },
    };
    return uniform({ ...common, layer: { ...layer, ffn: shared } });
  },
  modelTensors,
  layerTensors: (hp, il) => ({
    ...qwen2.layerTensors(hp, il),
    ...sharedRouterTensor(hp.nEmbd, il),
  }),
};

/** What weighs the expert that every token passes. */
export function sharedRouterTensor(nEmbd: number, il: number): TensorRules {
  return { sharedRouter: { name: namesOf(il)("ffn_gate_inp_shexp.weight"), shape: [nEmbd, 1] } };
}
