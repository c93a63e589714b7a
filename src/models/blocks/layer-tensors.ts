import type { TensorRules } from "../architecture.ts";
import type { HyperParameters } from "../hyper-parameters.ts";
import type { LayerShape } from "../layer-shape.ts";
import {
  attentionTensors,
  ffnTensors,
  fusedAttentionTensors,
  fusedFfnTensors,
  headNormTensors,
  namesOf,
  normTensor,
  type Presence,
} from "./tensors.ts";

/** What sets a family's layers apart from llama's: a norm, attention, a norm, a feed-forward network. */
export interface LayerForm {
  /** Of queries, keys and values; in some files by default. */
  readonly biases?: Presence;
  /** Of the way out of attention; as `biases` by default. */
  readonly outputBias?: Presence;
  /** Of the feed-forward network; in some files by default, never of experts. */
  readonly ffnBiases?: Presence;
  /** Norms of each head's queries and keys. */
  readonly hasHeadNorms?: boolean;
  /** Norms behind attention and behind the feed-forward network. */
  readonly hasPostNorms?: boolean;
  /** Queries, keys and values are one matrix. */
  readonly joinsHeads?: boolean;
  /** Gate and rest are one matrix. */
  readonly joinsGate?: boolean;
  /** How files call the norm of what the feed-forward network reads. */
  readonly ffnNorm?: string;
}

/** The rules of a layer of this form. */
export function layerTensors(form: LayerForm = {}) {
  const { biases, outputBias, ffnBiases, ffnNorm = "ffn_norm" } = form;
  return (
    { nEmbd, layers }: Pick<HyperParameters, "nEmbd" | "layers">,
    il: number,
  ): TensorRules => {
    const name = namesOf(il);
    const shape = layers[il] as LayerShape;
    const norm = (field: string, part: string) => normTensor(nEmbd, field, name(part));
    return {
      ...norm("attnNorm", "attn_norm"),
      ...(form.joinsHeads === true
        ? fusedAttentionTensors(nEmbd, shape, name)
        : attentionTensors(nEmbd, shape, name, { biases, outputBias })),
      ...(form.hasHeadNorms === true ? headNormTensors(shape, name) : {}),
      ...(form.hasPostNorms === true ? norm("attnPostNorm", "post_attention_norm") : {}),
      ...norm("ffnNorm", ffnNorm),
      ...(form.joinsGate === true
        ? fusedFfnTensors(nEmbd, shape.ffn, name)
        : ffnTensors(nEmbd, shape.ffn, name, { biases: ffnBiases })),
      ...(form.hasPostNorms === true ? norm("ffnPostNorm", "post_ffw_norm") : {}),
    };
  };
}
