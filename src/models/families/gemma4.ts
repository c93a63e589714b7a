import { PyramidKVError } from "../../errors.ts";
import type { Architecture, TensorRules } from "../architecture.ts";
import { layerTensors } from "../blocks/layer-tensors.ts";
import { modelTensors, namesOf, normTensor } from "../blocks/tensors.ts";
import { MAX } from "../file-keys.ts";
import { modelOf, readCommon, readHeadDim } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import { readRopeDims } from "../rope-keys.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";
import { asGemma } from "./gemma.ts";

const whole = layerTensors({
  biases: false,
  ffnBiases: false,
  hasHeadNorms: true,
  hasPostNorms: true,
});

/** What a layer makes its keys and values of; files may hold them, unused, for layers that share another's. */
const KV_TENSORS = ["attn_k.weight", "attn_v.weight", "attn_k_norm.weight"];

/**
 * Gemma 4: as Gemma 3, with normed values, heads of another size in layers with a window, and, in the small ones, an
 * embedding of each token for each layer, and last layers that attend to the keys and values of earlier ones.
 */
export const gemma4: Architecture = {
  name: "gemma4",
  summary: "Gemma 4 (text)",
  provedOn: "random weights",
  hyperParameters(metadata) {
    const common = asGemma(readCommon(metadata, "gemma4", ROPE_NEOX, { layersDiffer: true }));
    const { keys, numbers, nLayer, layer } = common;
    if (layer.ffn.kind === "moe") {
      throw new PyramidKVError(
        "UNSUPPORTED",
        'the architecture "gemma4" is not run with experts: they stand beside a dense network, which is not there yet',
      );
    }
    const shared = keys.whole("attention.shared_kv_layers", nLayer - 1) ?? 0;
    const heads = keys.perLayer("attention.head_count", MAX.heads, nLayer);
    const kvHeads = keys.perLayer("attention.head_count_kv", MAX.heads, nLayer);
    const widths = keys.perLayer("feed_forward_length", MAX.feedForward, nLayer);
    const pattern = keys.windowPattern(nLayer, 6);
    const { rope } = layer;
    const localDim = readHeadDim(keys, layer.headDim, "_swa");
    const localRope = {
      ...rope,
      dims: readRopeDims(keys, localDim, "_swa"),
      freqBase: keys.positive("rope.freq_base_swa") ?? 10_000,
    };
    const local = { headDim: localDim, window: keys.window(), rope: localRope };
    const owning = pattern.slice(0, nLayer - shared);
    const layers = pattern.map((hasWindow, il): LayerShape => {
      const owner = owning.lastIndexOf(hasWindow);
      const [nHead, nHeadKv] = [heads[il] as number, kvHeads[il] as number];
      if (owner < 0) {
        throw new PyramidKVError(
          "BAD_FILE",
          `layer ${il} shares keys and values, and no layer of its kind before it has any`,
        );
      }
      const isShared = il >= nLayer - shared;
      if (nHead % nHeadKv !== 0 || (isShared && nHeadKv !== kvHeads[owner])) {
        throw new PyramidKVError(
          "BAD_FILE",
          `the ${nHead} query heads of layer ${il} cannot attend to ${nHeadKv} kv heads${isShared ? `, and layer ${owner}, whose they are, has ${kvHeads[owner]}` : ""}`,
        );
      }
      return {
        ...layer,
        ...(hasWindow ? local : {}),
        nHead,
        nHeadKv,
        scale: 1,
        normsValues: true,
        ignoresRopeFactors: hasWindow,
        sharesKvOf: isShared ? owner : undefined,
        ffn: { ...layer.ffn, nFf: widths[il] as number },
      };
    });
    const nEmbdPerLayer = keys.whole("embedding_length_per_layer_input", MAX.width) ?? 0;
    const logitSoftcap = keys.positiveOrNone("final_logit_softcapping");
    return modelOf({ ...numbers, logitSoftcap, nEmbdPerLayer }, layers);
  },
  modelTensors(hp) {
    const { nEmbd, nVocab, nLayer, nEmbdPerLayer: width = 0, headDim } = hp;
    const all = width * nLayer;
    const perLayer: TensorRules = {
      perLayerEmbd: {
        name: "per_layer_token_embd.weight",
        shape: [all, nVocab],
        part: width,
        everyLayer: true,
      },
      perLayerProj: {
        name: "per_layer_model_proj.weight",
        shape: [nEmbd, all],
        part: nEmbd,
        everyLayer: true,
      },
      perLayerProjNorm: { name: "per_layer_proj_norm.weight", shape: [width], everyLayer: true },
    };
    return {
      ...modelTensors(hp),
      ropeFactors: { name: "rope_freqs.weight", shape: [headDim / 2], everyLayer: true },
      ...(width > 0 ? perLayer : {}),
    };
  },
  ignores: ({ layers }, name) =>
    layers.some(
      ({ sharesKvOf }, il) =>
        sharesKvOf !== undefined && KV_TENSORS.some((part) => name === namesOf(il)(part)),
    ),
  layerTensors(hp, il) {
    const { nEmbd, layers, nEmbdPerLayer: width = 0 } = hp;
    const { sharesKvOf } = layers[il] as LayerShape;
    const { k, v, kNorm, ...others } = whole(hp, il);
    const name = namesOf(il);
    // Where there is no matrix for values, keys before their norm are values.
    const own = { k, v: { ...v, optional: true }, kNorm } as TensorRules;
    const told: TensorRules = {
      toldGate: { name: name("inp_gate.weight"), shape: [nEmbd, width] },
      toldUp: { name: name("proj.weight"), shape: [width, nEmbd] },
      ...normTensor(nEmbd, "toldNorm", name("post_norm")),
    };
    return {
      ...others,
      ...(sharesKvOf === undefined ? own : {}),
      ...(width > 0 ? told : {}),
      outScale: { name: name("layer_output_scale.weight"), shape: [1], optional: true },
    };
  },
};
