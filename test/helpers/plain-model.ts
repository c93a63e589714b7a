import type { LayerShape } from "../../src/models/layer-shape.ts";
import { plainWeights } from "./plain-attention.ts";
import { gelu, plainFeedForward, sigmoid } from "./plain-ffn.ts";
import { rotated } from "./plain-rope.ts";
import { plainMix, type PlainState } from "./plain-recurrence.ts";
import { PlainWeights } from "./plain-weights.ts";
import type { TinyModel } from "./tiny-model.ts";

/** What a layer remembers of the tokens before: rows of each kv head, or a recurrent layer's state. */
export interface PlainMemory {
  readonly rows: readonly PlainRows[];
  readonly state: PlainState;
}

/** A kv head's rows, oldest first: rotated keys, and values. */
export interface PlainRows {
  readonly keys: ArrayLike<number>[];
  readonly values: ArrayLike<number>[];
}

/**
 * A tiny model of any family in plain loops and f64, its layers of any shape: logits after every token.
 * Keys and values are not rounded.
 */
export function plainLogits(model: TinyModel, tokens: ArrayLike<number>): number[][] {
  const memory = model.hp.layers.map(({ nHeadKv, recurrence }): PlainMemory => ({
    rows: Array.from({ length: nHeadKv }, () => ({ keys: [], values: [] })),
    state: recurrence?.states.map((shape) => new Float32Array(product(shape))) ?? [],
  }));
  return Array.from(tokens, (token, position) => plainStep(model, memory, token, position));
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((a, b) => a * b, 1);
}

/** A row as a cache holds it; as it is by default. */
type Rounding = (row: readonly number[]) => readonly number[];

/** One token more behind what each layer remembers, which its own joins: its logits. */
export function plainStep(
  { hp, tensors }: TinyModel,
  memory: readonly PlainMemory[],
  token: number,
  position: number,
  rounded: Rounding = (row) => row,
): number[] {
  const weights = new PlainWeights(tensors, hp.normEpsilon);
  const { scales, nEmbd } = hp;
  const embedding = weights.values("token_embd.weight") as Float32Array;
  const embedded = Array.from(
    embedding.subarray(token * nEmbd, (token + 1) * nEmbd),
    (x) => x * scales.embedding,
  );
  let hidden = embedded;
  hp.layers.forEach((layer, il) => {
    const name = (part: string) => `blk.${il}.${part}`;
    const input = weights.norm(name("attn_norm"), hidden);
    const { rows } = memory[layer.sharesKvOf ?? il] as PlainMemory;
    const { state } = memory[il] as PlainMemory;
    const { recurrence } = layer;
    const half =
      recurrence === undefined
        ? weights.times(
            name("attn_output"),
            attend(weights, name, layer, rows, { input, position, nCtx: hp.nCtx, rounded }),
          )
        : plainMix(weights, name, recurrence, state, input);
    // gpt-oss calls the norm of its experts' input so.
    const isBehind = weights.has(name("ffn_norm")) || weights.has(name("post_ffw_norm"));
    const first = isBehind ? weights.norm(name("post_attention_norm"), half) : half;
    const y = added(hidden, first, scales.residual);
    const inner = weights.norm(name(isBehind ? "ffn_norm" : "post_attention_norm"), y);
    const second = plainFeedForward(weights, name, layer.ffn, inner);
    hidden = added(y, weights.norm(name("post_ffw_norm"), second), scales.residual);
    if (weights.has("per_layer_token_embd")) {
      const told = plainToldOf(weights, { il, nLayer: hp.nLayer, token, embedded });
      const gate = weights
        .times(name("inp_gate"), hidden)
        .map((x, i) => gelu(x) * (told[i] ?? NaN));
      const half = weights.norm(name("post_norm"), weights.times(name("proj"), gate));
      hidden = added(hidden, half, 1);
    }
    const scale = weights.values(name("layer_output_scale.weight"))?.[0] ?? 1;
    hidden = hidden.map((x) => x * scale);
  });
  const output = weights.has("output") ? "output" : "token_embd";
  // LFM2 calls the last norm so.
  const last = weights.has("output_norm") ? "output_norm" : "token_embd_norm";
  const cap = hp.logitSoftcap ?? Infinity;
  return weights
    .times(output, weights.norm(last, hidden))
    .map((x) => x * scales.logits)
    .map((x) => (cap === Infinity ? x : cap * Math.tanh(x / cap)));
}

/** What layer `il` is told of a token for itself. */
function plainToldOf(
  weights: PlainWeights,
  of: { il: number; nLayer: number; token: number; embedded: readonly number[] },
): number[] {
  const { il, nLayer, token, embedded } = of;
  const projected = weights.times("per_layer_model_proj", embedded);
  const width = projected.length / nLayer;
  const part = projected.slice(il * width, (il + 1) * width);
  const normed = weights.norm(
    "per_layer_proj_norm",
    part.map((x) => x / Math.sqrt(embedded.length)),
  );
  const rows = weights.values("per_layer_token_embd.weight") as Float32Array;
  const first = (token * nLayer + il) * width;
  return normed.map((x, i) => (x + (rows[first + i] as number) * Math.sqrt(width)) / Math.sqrt(2));
}

/** What a token's heads attend to, its own row among the others. */
function attend(
  weights: PlainWeights,
  name: (part: string) => string,
  layer: LayerShape,
  rows: readonly PlainRows[],
  of: { input: readonly number[]; position: number; nCtx: number; rounded: Rounding },
): number[] {
  const { input, position, nCtx, rounded } = of;
  const { headDim, nHead, nHeadKv, queryFactor = 1, queryGrowth } = layer;
  const cut = (all: readonly number[]) =>
    Array.from({ length: all.length / headDim }, (_, h) =>
      all.slice(h * headDim, (h + 1) * headDim),
    );
  const joined = weights.has(name("attn_qkv")) && weights.times(name("attn_qkv"), input);
  const gates: number[][] = [];
  const heads = (part: "q" | "k" | "v") => {
    const first = { q: 0, k: nHead, v: nHead + nHeadKv }[part] * headDim;
    const count = part === "q" ? nHead : nHeadKv;
    const norm = name(`attn_${part}_norm`);
    const all = joined
      ? joined.slice(first, first + count * headDim)
      : weights.times(name(`attn_${part}`), input);
    if (part === "q" && layer.gatesAttention === true) {
      const both = cut(all);
      gates.push(...both.filter((_, h) => h % 2 === 1));
      return both.filter((_, h) => h % 2 === 0).map((head) => weights.norm(norm, head));
    }
    const width = weights.values(`${norm}.weight`)?.length;
    return width === headDim
      ? cut(all).map((head) => weights.norm(norm, head))
      : cut(weights.norm(norm, all));
  };
  const isLong = nCtx > layer.rope.nCtxOrig;
  const factors =
    layer.ignoresRopeFactors === true
      ? undefined
      : (weights.values("rope_freqs.weight") ??
        weights.values(`rope_factors_${isLong ? "long" : "short"}.weight`));
  const turn = (head: readonly number[]) => rotated(head, position, layer.rope, factors);
  if (layer.sharesKvOf === undefined) {
    const values = heads("v");
    const unit = (value: number[]) => (layer.normsValues === true ? weights.rms(value) : value);
    heads("k").forEach((key, h) => {
      rows[h]?.keys.push(rounded(turn(key)));
      rows[h]?.values.push(rounded(unit(values[h] as number[])));
    });
  }
  const { scale = 0, every = 1 } = queryGrowth ?? {};
  const growth = 1 + scale * Math.log(1 + Math.floor(position / every));
  const sinkLogits = layer.sinkLogits ? weights.values(name("attn_sinks.weight")) : undefined;
  return heads("q").flatMap((head, h) => {
    const query = turn(head).map((x) => x * growth * queryFactor);
    const { keys, values } = rows[Math.floor((h * nHeadKv) / nHead)] as PlainRows;
    const softmax = { ...layer, sinkLogit: sinkLogits?.[h] };
    const shares = plainWeights(query, keys, keys.length - 1, softmax);
    const gate = gates[h];
    return query.map((_, d) => {
      const sum = shares.reduce((sum, w, j) => sum + w * (values[j]?.[d] as number), 0);
      return gate === undefined ? sum : sum * sigmoid(gate[d] as number);
    });
  });
}

function added(a: readonly number[], b: readonly number[], scale: number): number[] {
  return a.map((x, i) => x + scale * (b[i] as number));
}
