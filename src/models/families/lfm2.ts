import type { Architecture, TensorRules } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { ffnTensors, modelTensors, namesOf, normTensor } from "../blocks/tensors.ts";
import { MAX } from "../file-keys.ts";
import { modelOf, readCommon } from "../hyper-parameters.ts";
import { recurrent, type LayerShape, type ShortConvolution } from "../layer-shape.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";

const attending = layerTensors({ biases: false, ffnBiases: false, hasHeadNorms: true });

/** LFM2: short gated convolutions, and attention with norms of queries and keys in some layers (arXiv 2511.23404). */
export const lfm2: Architecture = {
  name: "lfm2",
  summary: "LFM2 (short convolutions and attention)",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = readCommon(metadata, "lfm2", ROPE_NEOX, { mayLackHeads: true });
    const { keys, numbers, hasHeads } = common;
    const taps = keys.required("shortconv.l_cache", keys.whole("shortconv.l_cache", MAX.taps, 2));
    const states = [[taps - 1, numbers.nEmbd]];
    const convolution: ShortConvolution = { kind: "short-convolution", taps, states };
    const layer = { ...common.layer, window: keys.window() };
    const without = recurrent(layer, convolution);
    return modelOf(
      numbers,
      hasHeads.map((attends) => (attends ? layer : without)),
    );
  },
  modelTensors(hp) {
    const { outputNorm: _, ...others } = modelTensors(hp);
    // The files call the last norm so.
    return { ...others, ...normTensor(hp.nEmbd, "outputNorm", "token_embd_norm") };
  },
  layerTensors(hp, il) {
    const shape = hp.layers[il] as LayerShape;
    const { recurrence } = shape;
    if (recurrence === undefined) return attending(hp, il);
    const { nEmbd } = hp;
    const name = namesOf(il);
    return {
      ...normTensor(nEmbd, "attnNorm", name("attn_norm")),
      ...convolutionTensors(nEmbd, recurrence.taps, il),
      ...normTensor(nEmbd, "ffnNorm", name("ffn_norm")),
      ...ffnTensors(nEmbd, shape.ffn, name, { biases: false }),
    };
  },
};

/** What a layer has instead of attention. */
function convolutionTensors(nEmbd: number, taps: number, il: number): TensorRules {
  const name = namesOf(il);
  return {
    convIn: { name: name("shortconv.in_proj.weight"), shape: [nEmbd, 3 * nEmbd] },
    convKernel: { name: name("shortconv.conv.weight"), shape: [taps, nEmbd], isVectors: true },
    o: { name: name("shortconv.out_proj.weight"), shape: [nEmbd, nEmbd] },
  };
}
