import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { modelOf, readCommon, withWindows } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";
import { asGemma, queryFactorOf } from "./gemma.ts";

/**
 * Gemma 3: as Gemma 2 without soft-caps, with norms of each query and key; five layers with a sliding window and a rotation
 * of their own to one that sees all (arXiv 2503.19786).
 */
export const gemma3: Architecture = {
  name: "gemma3",
  summary: "Gemma 3 (text)",
  provedOn: "Gemma 3 270M",
  hyperParameters(metadata) {
    const common = asGemma(readCommon(metadata, "gemma3", ROPE_NEOX));
    const { keys, numbers, nLayer } = common;
    const { rope } = common.layer;
    const queryFactor = queryFactorOf(common, 62);
    const layer: LayerShape = { ...common.layer, scale: 1, queryFactor };
    const freqBase = keys.positive("rope.freq_base_swa") ?? 10_000;
    const local = { rope: { ...rope, freqBase, freqScale: 1 } };
    const layers = withWindows(
      { keys, nLayer, layer },
      { window: keys.window(), period: 6 },
      local,
    );
    const logitSoftcap = keys.positiveOrNone("final_logit_softcapping");
    return modelOf({ ...numbers, logitSoftcap }, layers);
  },
  modelTensors,
  layerTensors: layerTensors({
    biases: false,
    ffnBiases: false,
    hasHeadNorms: true,
    hasPostNorms: true,
  }),
};
