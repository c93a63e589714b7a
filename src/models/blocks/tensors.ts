import type { TensorRule, TensorRules } from "../architecture.ts";
import type { HyperParameters } from "../hyper-parameters.ts";
import type { FeedForwardShape, LayerShape } from "../layer-shape.ts";

/** Embeddings, the last norm, and the logits' own weight where it is not the embeddings'. */
export function modelTensors({ nEmbd, nVocab }: HyperParameters): TensorRules {
  return {
    tokenEmbd: { name: "token_embd.weight", shape: [nEmbd, nVocab], rows: true },
    outputNorm: { name: "output_norm.weight", shape: [nEmbd] },
    output: { name: "output.weight", shape: [nEmbd, nVocab], optional: true },
  };
}

/** Factors on the wave lengths of the rotation, which some files hold for all layers (Llama 3.1). */
export function ropeFactors({ ropes }: HyperParameters): TensorRules {
  const dims = Math.max(...ropes.map((rope) => rope.dims));
  const shape = [dims / 2];
  return {
    ropeFactors: { name: "rope_freqs.weight", shape, optional: true, everyLayer: true },
  };
}

/** The same, for contexts up to the one that the model was first trained for, and for longer ones (Phi 3). */
export function longRopeFactors({ ropes }: HyperParameters): TensorRules {
  const rule = (length: string): TensorRule => ({
    name: `rope_factors_${length}.weight`,
    shape: [(ropes[0]?.dims ?? 0) / 2],
    optional: true,
    everyLayer: true,
  });
  return { longRopeFactors: rule("long"), shortRopeFactors: rule("short") };
}

/** Names of a layer's tensors. */
export type Naming = (part: string) => string;

export const namesOf =
  (il: number): Naming =>
  (part) =>
    `blk.${il}.${part}`;

/** Whether a family's files hold a tensor: always, in some of them, or never. */
export type Presence = boolean | "optional";

/** Queries, keys, values and the way out, each a matrix of its own. */
export function attentionTensors(
  nEmbd: number,
  { nHead, nHeadKv, headDim, sinkLogits, gatesAttention = false }: LayerShape,
  name: Naming,
  {
    biases = "optional",
    outputBias = biases,
  }: { biases?: Presence | undefined; outputBias?: Presence | undefined } = {},
): TensorRules {
  const [nQ, nKv] = [nHead * headDim, nHeadKv * headDim];
  return {
    q: { name: name("attn_q.weight"), shape: [nEmbd, gatesAttention ? 2 * nQ : nQ] },
    k: { name: name("attn_k.weight"), shape: [nEmbd, nKv] },
    v: { name: name("attn_v.weight"), shape: [nEmbd, nKv] },
    o: { name: name("attn_output.weight"), shape: [nQ, nEmbd] },
    ...present("qBias", biases, { name: name("attn_q.bias"), shape: [nQ] }),
    ...present("kBias", biases, { name: name("attn_k.bias"), shape: [nKv] }),
    ...present("vBias", biases, { name: name("attn_v.bias"), shape: [nKv] }),
    ...present("oBias", outputBias, { name: name("attn_output.bias"), shape: [nEmbd] }),
    ...(sinkLogits ? { sinkLogits: { name: name("attn_sinks.weight"), shape: [nHead] } } : {}),
  };
}

/** Queries, keys and values as one matrix, and the way out. */
export function fusedAttentionTensors(
  nEmbd: number,
  { nHead, nHeadKv, headDim }: LayerShape,
  name: Naming,
): TensorRules {
  return {
    qkv: { name: name("attn_qkv.weight"), shape: [nEmbd, (nHead + 2 * nHeadKv) * headDim] },
    o: { name: name("attn_output.weight"), shape: [nHead * headDim, nEmbd] },
  };
}

/** Norms of each head's queries and keys. */
export function headNormTensors({ headDim }: LayerShape, name: Naming): TensorRules {
  return {
    qNorm: { name: name("attn_q_norm.weight"), shape: [headDim] },
    kNorm: { name: name("attn_k_norm.weight"), shape: [headDim] },
  };
}

/** Norms of a token's queries together, and of its keys. */
export function jointNormTensors(
  { headDim, nHead, nHeadKv }: LayerShape,
  name: Naming,
): TensorRules {
  return {
    qNorm: { name: name("attn_q_norm.weight"), shape: [headDim * nHead] },
    kNorm: { name: name("attn_k_norm.weight"), shape: [headDim * nHeadKv] },
  };
}

/** A vector of the model's width, as norms are, by its field and its name in the file. */
export function normTensor(nEmbd: number, field: string, name: string): TensorRules {
  return { [field]: { name: `${name}.weight`, shape: [nEmbd] } };
}

/** The weight and the bias of a layer norm. */
export function biasedNormTensors(nEmbd: number, field: string, name: string): TensorRules {
  return {
    ...normTensor(nEmbd, field, name),
    [`${field}Bias`]: { name: `${name}.bias`, shape: [nEmbd] },
  };
}

/** The feed-forward network, dense or of experts. */
export function ffnTensors(
  nEmbd: number,
  ffn: FeedForwardShape,
  name: Naming,
  options: { biases?: Presence | undefined } = {},
): TensorRules {
  return ffn.kind === "moe"
    ? expertTensors(nEmbd, ffn, name, options)
    : denseTensors(nEmbd, ffn, name, options);
}

function denseTensors(
  nEmbd: number,
  { nFf }: FeedForwardShape,
  name: Naming,
  { biases = "optional" }: { biases?: Presence | undefined },
): TensorRules {
  return {
    gate: { name: name("ffn_gate.weight"), shape: [nEmbd, nFf] },
    ...present("gateBias", biases, { name: name("ffn_gate.bias"), shape: [nFf] }),
    ...plainFfnTensors(nEmbd, { nFf }, name, { biases }),
  };
}

/** A network without a gate. */
export function plainFfnTensors(
  nEmbd: number,
  { nFf }: Pick<FeedForwardShape, "nFf">,
  name: Naming,
  { biases = "optional" }: { biases?: Presence } = {},
): TensorRules {
  return {
    up: { name: name("ffn_up.weight"), shape: [nEmbd, nFf] },
    down: { name: name("ffn_down.weight"), shape: [nFf, nEmbd] },
    ...present("upBias", biases, { name: name("ffn_up.bias"), shape: [nFf] }),
    ...present("downBias", biases, { name: name("ffn_down.bias"), shape: [nEmbd] }),
  };
}

/** Gate and rest as one matrix, the gate's rows first. */
export function fusedFfnTensors(
  nEmbd: number,
  { nFf }: FeedForwardShape,
  name: Naming,
): TensorRules {
  return {
    up: { name: name("ffn_up.weight"), shape: [nEmbd, 2 * nFf] },
    down: { name: name("ffn_down.weight"), shape: [nFf, nEmbd] },
  };
}

function expertTensors(
  nEmbd: number,
  { nFf, nExpert, nFfShared }: FeedForwardShape,
  name: Naming,
  { biases = false }: { biases?: Presence | undefined },
): TensorRules {
  const vectors = (part: string, m: number): TensorRule => ({
    name: name(`${part}.bias`),
    shape: [m, nExpert],
    isVectors: true,
  });
  return {
    router: { name: name("ffn_gate_inp.weight"), shape: [nEmbd, nExpert] },
    gate: { name: name("ffn_gate_exps.weight"), shape: [nEmbd, nFf, nExpert] },
    up: { name: name("ffn_up_exps.weight"), shape: [nEmbd, nFf, nExpert] },
    down: { name: name("ffn_down_exps.weight"), shape: [nFf, nEmbd, nExpert] },
    ...present("routerBias", biases, { name: name("ffn_gate_inp.bias"), shape: [nExpert] }),
    ...present("gateBias", biases, vectors("ffn_gate_exps", nFf)),
    ...present("upBias", biases, vectors("ffn_up_exps", nFf)),
    ...present("downBias", biases, vectors("ffn_down_exps", nEmbd)),
    ...(nFfShared > 0 ? sharedExpertTensors(nEmbd, nFfShared, name) : {}),
  };
}

function sharedExpertTensors(nEmbd: number, nFf: number, name: Naming): TensorRules {
  return {
    sharedGate: { name: name("ffn_gate_shexp.weight"), shape: [nEmbd, nFf] },
    sharedUp: { name: name("ffn_up_shexp.weight"), shape: [nEmbd, nFf] },
    sharedDown: { name: name("ffn_down_shexp.weight"), shape: [nFf, nEmbd] },
  };
}

function present(field: string, presence: Presence, rule: TensorRule): TensorRules {
  if (presence === false) return {};
  return { [field]: presence === "optional" ? { ...rule, optional: true } : rule };
}
