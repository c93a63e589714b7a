import { ARCHITECTURES } from "../../src/models/architectures.ts";
import type { Architecture } from "../../src/models/architecture.ts";
import { modelOf, uniform, readCommon } from "../../src/models/hyper-parameters.ts";
import type { LayerShape } from "../../src/models/layer-shape.ts";
import { llama } from "../../src/models/families/llama.ts";

/**
 * llama with layers that differ as `change` says of each: windows, soft-caps, sink logits, rotations of their own. In
 * this process the engine takes it for llama from then on, and libllama reads its vocabulary.
 */
export function variant(
  change: (layer: LayerShape, il: number) => Partial<LayerShape>,
): Architecture {
  const architecture: Architecture = {
    ...llama,
    hyperParameters(metadata) {
      const hp = uniform(readCommon(metadata, llama.name, 0));
      return modelOf(
        hp,
        hp.layers.map((layer, il) => ({ ...layer, ...change(layer, il) })),
      );
    },
  };
  Object.assign(ARCHITECTURES, { llama: architecture });
  return architecture;
}
