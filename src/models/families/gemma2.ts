import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { localRotation, modelOf, readCommon, withWindows } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";
import { asGemma, queryFactorOf } from "./gemma.ts";

/**
 * Gemma 2: norms before and behind each half of a layer, soft-caps on the logits of attention and of the vocabulary, a
 * sliding window in every second layer (arXiv 2408.00118).
 */
export const gemma2: Architecture = {
  name: "gemma2",
  summary: "Gemma 2",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = asGemma(readCommon(metadata, "gemma2", ROPE_NEOX));
    const { keys, numbers, nLayer } = common;
    const layer: LayerShape = {
      ...common.layer,
      scale: 1,
      queryFactor: queryFactorOf(common, 46),
      softcap: keys.positiveOrNone("attn_logit_softcapping", 50),
    };
    const logitSoftcap = keys.positiveOrNone("final_logit_softcapping", 30);
    const window = keys.window(4096);
    const local = localRotation(keys, layer);
    const layers = withWindows({ keys, nLayer, layer }, { window, period: 2 }, local);
    return modelOf({ ...numbers, logitSoftcap }, layers);
  },
  modelTensors,
  layerTensors: layerTensors({ biases: false, ffnBiases: false, hasPostNorms: true }),
};
