import { normed } from "../ggml/operations/ggml.ts";
import type { Norm, QueryKeyValue } from "../ggml/operations/nodes.ts";
import type { Graph, RopeParameters } from "../ggml/graph.ts";
import { tensorShape, type Tensor } from "../ggml/tensor-buffer.ts";
import type { ModelWeights, TransformerGraph, Weights } from "./architecture.ts";
import { denseFfn } from "./blocks/ffn.ts";
import { gatedBy, growQueries, normHeads, projectHeads, scaleHeads } from "./blocks/heads.ts";
import { linear, matrix, type Weight } from "./blocks/linear.ts";
import { moeFfn } from "./blocks/moe.ts";
import { withPerLayerInput } from "./blocks/per-layer-input.ts";
import { mixed } from "./blocks/recurrence.ts";
import type { HyperParameters } from "./hyper-parameters.ts";
import type { LayerShape, Recurrence } from "./layer-shape.ts";

/**
 * The decoder of every family: attention, then a feed-forward network, each with a residual around it. Families differ in
 * their numbers (`LayerShape`) and in the tensors that their files hold: a norm is applied, a bias is added, heads are
 * joined in one matrix where the family's rules name such a tensor.
 *
 * Fields of a layer: `attnNorm`, `q` `k` `v` or `qkv`, `qNorm`, `kNorm`, `sinkLogits`, `o`, `attnPostNorm`, `ffnNorm`,
 * `gate`, `up`, `down`, `router`, `sharedGate` `sharedUp` `sharedDown`, `sharedRouter`, `ffnPostNorm`, `outScale`; a name with `Bias`
 * behind it is its bias. For all layers: `ropeFactors`, or `longRopeFactors` and `shortRopeFactors`. Of the model:
 * `tokenEmbd` (its rows as `tokenEmbdRows` where it was repacked), `outputNorm`, `output`.
 */
export function transformerGraph(hp: HyperParameters, weights: ModelWeights): TransformerGraph {
  const { model } = weights;
  const { scales } = hp;
  const layer = (il: number) => weights.layers[il] as Weights;
  const shape = (il: number) => hp.layers[il] as LayerShape;
  const factors = (il: number): Tensor | null => {
    if (shape(il).ignoresRopeFactors === true) return null;
    const { ropeFactors, longRopeFactors, shortRopeFactors } = layer(il);
    const isLong = hp.nCtx > shape(il).rope.nCtxOrig;
    return ropeFactors ?? (isLong ? longRopeFactors : shortRopeFactors) ?? null;
  };
  const norm = (of: Weights, name: string): Norm | undefined => {
    const weight = of[name];
    return weight && { weight, bias: of[`${name}Bias`], epsilon: hp.normEpsilon };
  };
  const weight = (il: number, name: string) => matrix(weights, il, name);
  /** A weight of a layer that may have none of this name. */
  const optional = (il: number, name: string): Weight | undefined =>
    layer(il)[name] === undefined ? undefined : weight(il, name);

  /** `x` and half a layer's result: `half` of the residual that it may add on its way; then comes its norm. */
  const added = (
    g: Graph,
    x: Tensor,
    postNorm: Norm | undefined,
    half: (residual: Tensor | undefined) => Tensor,
  ): Tensor => {
    if (postNorm === undefined && scales.residual === 1) return half(x);
    const result = half(undefined);
    const scaled = postNorm === undefined ? result : normed(g, result, postNorm);
    return g.add(scales.residual === 1 ? scaled : g.scale(scaled, scales.residual), x);
  };

  const feedForward = (g: Graph, il: number, x: Tensor): Tensor => {
    const before = norm(layer(il), "ffnNorm");
    const after = norm(layer(il), "ffnPostNorm");
    const { ffn } = shape(il);
    const [gate, up, down] = [optional(il, "gate"), weight(il, "up"), weight(il, "down")];
    if (gate === undefined || ffn.kind === "dense") {
      return added(g, x, after, (residual) =>
        denseFfn(g, x, { gate, up, down }, ffn.activation, { norm: before, residual }),
      );
    }
    const input = before === undefined ? x : normed(g, x, before);
    const sharedUp = optional(il, "sharedUp");
    const shared = sharedUp && {
      gate: optional(il, "sharedGate"),
      up: sharedUp,
      down: weight(il, "sharedDown"),
    };
    const sharedRouter = optional(il, "sharedRouter");
    const experts = { router: weight(il, "router"), gate, up, down, shared, sharedRouter };
    return added(g, x, after, (residual) => {
      const y = moeFfn(g, input, experts, ffn);
      return residual === undefined ? y : g.add(y, residual);
    });
  };

  const embed = (g: Graph, tokens: Tensor): Tensor => {
    const rows = g.getRows((model.tokenEmbdRows ?? model.tokenEmbd) as Tensor, tokens);
    return scales.embedding === 1 ? rows : g.scale(rows, scales.embedding);
  };

  /** `x` and what the layer is told of its tokens for itself, where the model has that. */
  const told = (g: Graph, il: number, x: Tensor, tokens: Tensor): Tensor => {
    const w = layer(il);
    if (w.perLayerEmbd === undefined) return x;
    const embedded = embed(g, tokens);
    return withPerLayerInput(
      g,
      il,
      x,
      { tokens, embedded },
      {
        embedding: w.perLayerEmbd,
        projection: weight(il, "perLayerProj"),
        projectionNorm: norm(w, "perLayerProjNorm") as Norm,
        gate: weight(il, "toldGate"),
        up: weight(il, "toldUp"),
        norm: norm(w, "toldNorm") as Norm,
      },
    );
  };

  return {
    embed,

    queryKeyValue(g, il, x, positions): QueryKeyValue {
      const w = layer(il);
      const { queryFactor = 1, queryGrowth, normsValues } = shape(il);
      // Where there is no matrix for values, they are keys.
      const names = w.qkv === undefined ? ["q", "k", w.v === undefined ? "k" : "v"] : ["qkv"];
      const matrices = names.map((name) => weight(il, name));
      const heads = projectHeads(g, x, { norm: norm(w, "attnNorm") }, matrices, shape(il));
      const [qNorm, kNorm] = [norm(w, "qNorm"), norm(w, "kNorm")];
      const isPlain = queryFactor === 1 && queryGrowth === undefined && normsValues !== true;
      if (qNorm === undefined && kNorm === undefined && isPlain) return heads;
      const normedQ = qNorm === undefined ? heads.q : normHeads(g, heads.q, qNorm);
      const q = queryFactor === 1 ? normedQ : scaleHeads(g, normedQ, queryFactor);
      const k = kNorm === undefined ? heads.k : normHeads(g, heads.k, kNorm);
      const grown = queryGrowth === undefined ? q : growQueries(g, q, positions, queryGrowth);
      const v = normsValues === true ? g.rmsNorm(heads.v, hp.normEpsilon) : heads.v;
      const qkv = { q: grown, k, v };
      return heads.gate === undefined ? qkv : { ...qkv, gate: heads.gate };
    },

    queries(g, il, x) {
      const w = layer(il);
      const { headDim, nHead } = shape(il);
      const products = linear(g, weight(il, "q"), x, { norm: norm(w, "attnNorm") });
      const heads = g.reshape(products, headDim, nHead, tensorShape(x)[1]);
      const qNorm = norm(w, "qNorm");
      return qNorm === undefined ? heads : normHeads(g, heads, qNorm);
    },

    rotate: (g, il, heads, positions) => turned(g, heads, positions, factors(il), shape(il).rope),

    turn: (g, il, keys, by) => turned(g, keys, by, factors(il), withoutScale(shape(il).rope)),

    sinkLogits: (il) => layer(il).sinkLogits,

    projectAttention: (g, il, attention) =>
      linear(g, { ...weight(il, "o"), bias: undefined }, attention),

    mix: (g, il, x, states) =>
      mixed(
        g,
        x,
        states,
        {
          weight: (name) => weight(il, name),
          optional: (name) => optional(il, name),
          tensor: (name) => layer(il)[name] as Tensor,
          epsilon: hp.normEpsilon,
          norm: norm(layer(il), "attnNorm"),
        },
        shape(il).recurrence as Recurrence,
      ),

    finishLayer(g, il, x, attention, { gate, tokens }) {
      const y = added(g, x, norm(layer(il), "attnPostNorm"), (residual) =>
        linear(g, weight(il, "o"), gatedBy(g, attention, gate), { residual }),
      );
      const z = told(g, il, feedForward(g, il, y), tokens);
      const { outScale } = layer(il);
      return outScale === undefined ? z : g.mul(z, outScale);
    },

    logits(g, x) {
      const output = (model.output ?? model.tokenEmbd) as Tensor;
      const of = { weight: output, operations: weights.operations() };
      const products = linear(g, of, x, { norm: norm(model, "outputNorm") });
      if (hp.logitSoftcap !== undefined) return g.softCap(products, scales.logits, hp.logitSoftcap);
      return scales.logits === 1 ? products : g.scale(products, scales.logits);
    },
  };
}

/** Heads turned to positions; as they are where nothing is rotated. */
function turned(
  g: Graph,
  heads: Tensor,
  positions: Tensor,
  factors: Tensor | null,
  rope: RopeParameters,
): Tensor {
  return rope.dims === 0 ? heads : g.rope(heads, positions, factors, rope);
}

/** The same angles with keys of unchanged length: what YaRN multiplies by is in them already. */
function withoutScale(rope: RopeParameters): RopeParameters {
  // ggml multiplies by 1 + 0.1 ln(1 / freqScale) where extFactor is not 0 (ggml.c, rope_yarn).
  const yarn = rope.extFactor === 0 ? 1 : 1 - 0.1 * Math.log(rope.freqScale);
  return { ...rope, attnFactor: 1 / yarn };
}
