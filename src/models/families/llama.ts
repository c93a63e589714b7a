import type { Architecture } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors, ropeFactors } from "../blocks/tensors.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import { ROPE_NORM } from "../../ggml/operations/nodes.ts";

/**
 * The `llama` architecture: Llama 1 to 3, SmolLM, TinyLlama, Mistral 7B, and with experts Mixtral.
 * RMS norms, grouped-query attention with RoPE on neighbouring pairs, gated feed-forward network.
 */
export const llama: Architecture = {
  name: "llama",
  summary: "Llama 1-3, SmolLM, TinyLlama, Mistral, Mixtral",
  provedOn: "SmolLM2 135M",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "llama", ROPE_NORM)),
  modelTensors: (hp) => ({ ...modelTensors(hp), ...ropeFactors(hp) }),
  layerTensors: layerTensors(),
};
