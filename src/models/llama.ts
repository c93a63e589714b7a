import type { RopeParameters } from "../ggml/graph.ts";
import type { Tensor } from "../ggml/tensor-buffer.ts";
import type { Architecture, ModelWeights, TensorRules, TransformerGraph } from "./architecture.ts";
import { swigluFfn } from "./blocks/ffn.ts";
import { projectHeads } from "./blocks/heads.ts";
import { linear, matrix } from "./blocks/linear.ts";
import { moeFfn } from "./blocks/moe.ts";
import { rmsNorm } from "../ggml/operations/ggml.ts";
import { readHyperParameters, type HyperParameters } from "./hyper-parameters.ts";
import type { FeedForwardShape, LayerShape } from "./layer-shape.ts";

const ROPE_NORM = 0;

/**
 * The `llama` architecture: Llama 1 to 3, SmolLM, TinyLlama, Mistral 7B, and with experts Mixtral.
 * RMS norms, grouped-query attention with RoPE on neighbouring pairs, gated feed-forward network.
 */
export const llama: Architecture = {
  name: "llama",
  summary: "Llama 1-3, SmolLM, TinyLlama, Mistral, Mixtral",
  hyperParameters: (metadata) => readHyperParameters(metadata, "llama", ROPE_NORM),
  modelTensors: (hp) => ({
    tokenEmbd: { name: "token_embd.weight", shape: [hp.nEmbd, hp.nVocab], rows: true },
    outputNorm: { name: "output_norm.weight", shape: [hp.nEmbd] },
    output: { name: "output.weight", shape: [hp.nEmbd, hp.nVocab], optional: true },
    ropeFactors: {
      name: "rope_freqs.weight",
      shape: [ropeOf(hp).dims / 2],
      optional: true,
      everyLayer: true,
    },
  }),
  layerTensors,
  graph: llamaGraph,
};

function layerTensors(hp: HyperParameters, il: number): TensorRules {
  const name = (part: string) => `blk.${il}.${part}`;
  const { nEmbd } = hp;
  const { nHead, nHeadKv, headDim, sinkLogits, ffn } = hp.layers[il] as LayerShape;
  const [nQ, nKv] = [nHead * headDim, nHeadKv * headDim];
  return {
    attnNorm: { name: name("attn_norm.weight"), shape: [nEmbd] },
    q: { name: name("attn_q.weight"), shape: [nEmbd, nQ] },
    k: { name: name("attn_k.weight"), shape: [nEmbd, nKv] },
    v: { name: name("attn_v.weight"), shape: [nEmbd, nKv] },
    o: { name: name("attn_output.weight"), shape: [nQ, nEmbd] },
    qBias: { name: name("attn_q.bias"), shape: [nQ], optional: true },
    kBias: { name: name("attn_k.bias"), shape: [nKv], optional: true },
    vBias: { name: name("attn_v.bias"), shape: [nKv], optional: true },
    oBias: { name: name("attn_output.bias"), shape: [nEmbd], optional: true },
    ffnNorm: { name: name("ffn_norm.weight"), shape: [nEmbd] },
    ...(sinkLogits ? { sinkLogits: { name: name("attn_sinks.weight"), shape: [nHead] } } : {}),
    ...(ffn.kind === "moe" ? expertTensors(nEmbd, ffn, name) : denseTensors(nEmbd, ffn, name)),
  };
}

function denseTensors(
  nEmbd: number,
  { nFf }: FeedForwardShape,
  name: (part: string) => string,
): TensorRules {
  return {
    gate: { name: name("ffn_gate.weight"), shape: [nEmbd, nFf] },
    up: { name: name("ffn_up.weight"), shape: [nEmbd, nFf] },
    down: { name: name("ffn_down.weight"), shape: [nFf, nEmbd] },
    gateBias: { name: name("ffn_gate.bias"), shape: [nFf], optional: true },
    upBias: { name: name("ffn_up.bias"), shape: [nFf], optional: true },
    downBias: { name: name("ffn_down.bias"), shape: [nEmbd], optional: true },
  };
}

function expertTensors(
  nEmbd: number,
  { nFf, nExpert }: FeedForwardShape,
  name: (part: string) => string,
): TensorRules {
  return {
    router: { name: name("ffn_gate_inp.weight"), shape: [nEmbd, nExpert] },
    gate: { name: name("ffn_gate_exps.weight"), shape: [nEmbd, nFf, nExpert] },
    up: { name: name("ffn_up_exps.weight"), shape: [nEmbd, nFf, nExpert] },
    down: { name: name("ffn_down_exps.weight"), shape: [nFf, nEmbd, nExpert] },
  };
}

function llamaGraph(hp: HyperParameters, weights: ModelWeights): TransformerGraph {
  const model = weights.model;
  const layer = (il: number) => weights.layers[il] as Readonly<Record<string, Tensor>>;
  const shape = (il: number) => hp.layers[il] as LayerShape;
  const factors = (il: number) => layer(il).ropeFactors ?? null;
  const norm = (weight: Tensor | undefined) => ({
    weight: weight as Tensor,
    epsilon: hp.normEpsilon,
  });

  return {
    embed: (g, tokens) => g.getRows((model.tokenEmbdRows ?? model.tokenEmbd) as Tensor, tokens),

    queryKeyValue(g, il, x) {
      const of = (name: string) => matrix(weights, il, name);
      const heads = { q: of("q"), k: of("k"), v: of("v") };
      return projectHeads(g, x, norm(layer(il).attnNorm), heads, shape(il));
    },

    rotate: (g, il, heads, positions) => g.rope(heads, positions, factors(il), shape(il).rope),

    turn: (g, il, keys, by) => g.rope(keys, by, factors(il), withoutScale(shape(il).rope)),

    sinkLogits: (il) => layer(il).sinkLogits,

    projectAttention: (g, il, attention) =>
      linear(g, { ...matrix(weights, il, "o"), bias: undefined }, attention),

    finishLayer(g, il, x, attention) {
      const w = layer(il);
      const of = (name: string) => matrix(weights, il, name);
      const y = linear(g, of("o"), attention, { residual: x });
      const [gate, up, down] = [of("gate"), of("up"), of("down")];
      if (w.router === undefined) return swigluFfn(g, y, norm(w.ffnNorm), { gate, up, down });
      const experts = {
        router: of("router"),
        gate: gate.weight,
        up: up.weight,
        down: down.weight,
      };
      return g.add(moeFfn(g, rmsNorm(g, y, norm(w.ffnNorm)), experts, shape(il).ffn), y);
    },

    logits(g, x) {
      const weight = (model.output ?? model.tokenEmbd) as Tensor;
      const operations = weights.operations();
      return linear(g, { weight, operations }, x, { norm: norm(model.outputNorm) });
    },
  };
}

/** The rotation of a model whose layers are alike. */
function ropeOf({ ropes }: HyperParameters): RopeParameters {
  return ropes[0] as RopeParameters;
}

/** The same angles with keys of unchanged length: what YaRN multiplies by is in them already. */
function withoutScale(rope: RopeParameters): RopeParameters {
  // ggml multiplies by 1 + 0.1 ln(1 / freqScale) where extFactor is not 0 (ggml.c, rope_yarn).
  const yarn = rope.extFactor === 0 ? 1 : 1 - 0.1 * Math.log(rope.freqScale);
  return { ...rope, attnFactor: 1 / yarn };
}
