import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { localRotation, modelOf, readCommon, withWindows } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

/**
 * gpt-oss: experts with biases, a clamped gate, a sliding window in every second layer, and for each query head a learned
 * sink logit, so that attention to tokens sums to less than 1 (arXiv 2508.10925).
 */
export const gptOss: Architecture = {
  name: "gpt-oss",
  summary: "gpt-oss (20B, 120B)",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "gpt-oss", ROPE_NEOX);
    const { keys, numbers, nLayer } = common;
    const { ffn } = common.layer;
    const layer: LayerShape = {
      ...common.layer,
      sinkLogits: true,
      ffn: {
        ...ffn,
        activation: "swiglu-oai",
        routing: { ...ffn.routing, gate: "softmax-of-chosen", renormalises: false },
      },
    };
    const local = localRotation(keys, layer);
    const window = keys.required("attention.sliding_window", keys.window());
    return modelOf(numbers, withWindows({ keys, nLayer, layer }, { window, period: 2 }, local));
  },
  modelTensors,
  layerTensors: layerTensors({
    biases: true,
    ffnBiases: true,
    // It comes behind attention in name only: it norms what the experts read.
    ffnNorm: "post_attention_norm",
  }),
};
