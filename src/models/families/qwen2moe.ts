import type { Architecture } from "../architecture.ts";
import {
  attentionTensors,
  ffnTensors,
  modelTensors,
  namesOf,
  normTensor,
} from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import type { FeedForwardShape, LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/** Qwen 1.5 and 2 with experts, whose weights are left as they are, and one that every token passes (arXiv 2407.10671). */
export const qwen2moe: Architecture = {
  name: "qwen2moe",
  summary: "Qwen 1.5 and 2 with experts (A2.7B, 57B-A14B)",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "qwen2moe", ROPE_NEOX);
    const { ffn } = common.layer;
    const { nFfDense } = common;
    const ofExpert = common.keys.whole("expert_feed_forward_length", nFfDense) ?? 0;
    const shared: FeedForwardShape = {
      ...ffn,
      nFf: ofExpert > 0 ? ofExpert : Math.floor(nFfDense / Math.max(1, ffn.nExpertUsed)),
      nFfShared: ffn.nFfShared > 0 ? ffn.nFfShared : nFfDense,
      routing: { ...ffn.routing, renormalises: false },
    };
    return uniform({ ...common, layer: { ...common.layer, ffn: shared } });
  },
  modelTensors,
  layerTensors({ nEmbd, layers }, il) {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    return {
      ...normTensor(nEmbd, "attnNorm", name("attn_norm")),
      ...attentionTensors(nEmbd, shape, name, { outputBias: false }),
      ...normTensor(nEmbd, "ffnNorm", name("ffn_norm")),
      ...ffnTensors(nEmbd, shape.ffn, name, { biases: false }),
      sharedRouter: { name: name("ffn_gate_inp_shexp.weight"), shape: [nEmbd, 1] },
    };
  },
};
