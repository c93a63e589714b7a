import { PyramidKVError } from "../../errors.ts";
import type { TensorRules } from "../architecture.ts";
import { MAX, type FileKeys } from "../file-keys.ts";
import type { CommonNumbers, HyperParameters } from "../hyper-parameters.ts";
import { recurrent, type DeltaNet, type LayerShape } from "../layer-shape.ts";
import { namesOf, normTensor } from "./tensors.ts";

/** Layers between two that attend, and that one, where the file does not say it: Qwen3-Next's. */
const INTERVAL = 4;

/** The layers of a model in which the last of every few attends, with gates, and the others have a gated delta net; those for further tokens aside. */
export function hybridLayers(
  { keys, nLayer, layer }: CommonNumbers,
  { sharesNeighbours }: Pick<DeltaNet, "sharesNeighbours">,
): LayerShape[] {
  const interval = keys.whole("full_attention_interval", MAX.layers, 1) ?? INTERVAL;
  const attending = { ...layer, gatesAttention: true };
  const others = recurrent(layer, readDeltaNet(keys, sharesNeighbours));
  return Array.from({ length: nLayer - furtherLayers(keys, nLayer) }, (_, il) =>
    (il + 1) % interval === 0 ? attending : others,
  );
}

/** How many of a file's layers, its last ones, predict tokens further ahead. */
export function furtherLayers(keys: FileKeys, nLayer: number): number {
  return keys.whole("nextn_predict_layers", nLayer - 1) ?? 0;
}

/** Whether a tensor is of such a layer. */
export function isFurtherLayer(hp: HyperParameters, name: string): boolean {
  const { nLayer, nFurtherLayers = 0 } = hp;
  const [, il] = /^blk\.(\d+)\./.exec(name) ?? [];
  return il !== undefined && Number(il) >= nLayer && Number(il) < nLayer + nFurtherLayers;
}

function readDeltaNet(keys: FileKeys, sharesNeighbours: boolean): DeltaNet {
  const whole = (name: string, max: number, min = 1) =>
    keys.required(`ssm.${name}`, keys.whole(`ssm.${name}`, max, min));
  const taps = whole("conv_kernel", MAX.taps, 2);
  const headDim = whole("state_size", MAX.headDim);
  const nKeyHead = whole("group_count", MAX.heads);
  const nValueHead = whole("time_step_rank", MAX.heads);
  const inner = whole("inner_size", MAX.width);
  if (inner !== headDim * nValueHead || nValueHead % nKeyHead !== 0) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${keys.key("ssm.*")}: ${nValueHead} value heads of ${headDim} elements, an inner size of ${inner} and ${nKeyHead} key heads do not go together`,
    );
  }
  const channels = headDim * (2 * nKeyHead + nValueHead);
  const states = [
    [taps - 1, channels],
    [headDim, headDim, nValueHead],
  ];
  return { kind: "delta-net", taps, headDim, nKeyHead, nValueHead, sharesNeighbours, states };
}

/**
 * What a layer has instead of attention.
 *
 * @param joinsRates whether how much is learned and forgotten comes of one matrix
 */
export function deltaNetTensors(
  nEmbd: number,
  { taps, headDim, nValueHead, states }: DeltaNet,
  il: number,
  { joinsRates }: { readonly joinsRates: boolean },
): TensorRules {
  const name = namesOf(il);
  const channels = states[0]?.[1] as number;
  const width = headDim * nValueHead;
  const rates: TensorRules = joinsRates
    ? { rates: { name: name("ssm_ba.weight"), shape: [nEmbd, 2 * nValueHead] } }
    : {
        learned: { name: name("ssm_beta.weight"), shape: [nEmbd, nValueHead] },
        forgotten: { name: name("ssm_alpha.weight"), shape: [nEmbd, nValueHead] },
      };
  return {
    ...normTensor(nEmbd, "attnNorm", name("attn_norm")),
    qkv: { name: name("attn_qkv.weight"), shape: [nEmbd, channels] },
    outGate: { name: name("attn_gate.weight"), shape: [nEmbd, width] },
    convKernel: { name: name("ssm_conv1d.weight"), shape: [taps, channels], isVectors: true },
    ...rates,
    stepBias: { name: name("ssm_dt.bias"), shape: [nValueHead] },
    decay: { name: name("ssm_a"), shape: [nValueHead] },
    outNorm: { name: name("ssm_norm.weight"), shape: [headDim] },
    o: { name: name("ssm_out.weight"), shape: [width, nEmbd] },
  };
}
