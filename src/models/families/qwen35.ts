import type { Architecture } from "../architecture.ts";
import { furtherLayers, hybridLayers, isFurtherLayer } from "../blocks/delta-net.ts";
import { modelTensors } from "../blocks/tensors.ts";
import { modelOf, readCommon } from "../hyper-parameters.ts";
import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";
import { hybridTensors } from "./qwen3next.ts";

/** Qwen 3.5: as Qwen3-Next, with value heads that share key heads in turn, and rates from two matrices. */
function qwen35Of(name: string, summary: string): Architecture {
  return {
    name,
    summary,
    provedOn: "random weights",
    hyperParameters(metadata) {
      const common = readCommon(metadata, name, ROPE_NEOX, { rotatesInSections: true });
      const nFurtherLayers = furtherLayers(common.keys, common.nLayer);
      const layers = hybridLayers(common, { sharesNeighbours: false });
      return modelOf({ ...common.numbers, nFurtherLayers }, layers);
    },
    modelTensors,
    layerTensors: hybridTensors(false),
    ignores: isFurtherLayer,
  };
}

export const qwen35 = qwen35Of("qwen35", "Qwen 3.5 (text; gated delta nets and attention)");
export const qwen35moe = qwen35Of("qwen35moe", "Qwen 3.5 with experts (text)");
