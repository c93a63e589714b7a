import type { LayerShape } from "../../src/models/layer-shape.ts";
import { dot, plainWeights } from "./plain-attention.ts";
import type { TinyModel } from "./tiny-model.ts";

/** A kv head's rows, oldest first: rotated keys, and values. */
export interface PlainRows {
  readonly keys: ArrayLike<number>[];
  readonly values: ArrayLike<number>[];
}

/**
 * A tiny dense model of llama's layers in plain loops and f64, its layers of any shape: logits after every token.
 * Keys and values are not rounded.
 */
export function plainLogits(model: TinyModel, tokens: ArrayLike<number>): number[][] {
  const rows = model.hp.layers.map(({ nHeadKv }) =>
    Array.from({ length: nHeadKv }, (): PlainRows => ({ keys: [], values: [] })),
  );
  return Array.from(tokens, (token, position) => plainStep(model, rows, token, position));
}

/** One token more behind the rows of each layer and kv head, which its own joins: its logits. */
export function plainStep(
  { hp, tensors }: TinyModel,
  rows: readonly (readonly PlainRows[])[],
  token: number,
  position: number,
): number[] {
  const weight = (name: string): Float32Array | undefined => {
    const found = tensors.find((t) => t.name === name);
    return (
      found && new Float32Array(found.data.buffer, found.data.byteOffset, found.data.length / 4)
    );
  };
  const matrix = (name: string, x: number[]): number[] => {
    const w = weight(name) as Float32Array;
    return Array.from({ length: w.length / x.length }, (_, row) =>
      dot(w.subarray(row * x.length, (row + 1) * x.length), x),
    );
  };
  const norm = (name: string, x: number[]): number[] => {
    const w = weight(name) as Float32Array;
    const root = Math.sqrt(dot(x, x) / x.length + hp.normEpsilon);
    return x.map((v, i) => (v / root) * (w[i] as number));
  };
  const embedding = weight("token_embd.weight") as Float32Array;
  let hidden = Array.from(embedding.subarray(token * hp.nEmbd, (token + 1) * hp.nEmbd));
  hp.layers.forEach((layer, il) => {
    const name = (part: string) => `blk.${il}.${part}.weight`;
    const input = norm(name("attn_norm"), hidden);
    const heads = (part: string) => {
      const all = matrix(name(part), input);
      return Array.from({ length: all.length / layer.headDim }, (_, h) =>
        all.slice(h * layer.headDim, (h + 1) * layer.headDim),
      );
    };
    const values = heads("attn_v");
    heads("attn_k").forEach((key, h) => {
      rows[il]?.[h]?.keys.push(rotated(key, position, layer));
      rows[il]?.[h]?.values.push(values[h] as number[]);
    });
    const sinkLogits = layer.sinkLogits ? weight(name("attn_sinks")) : undefined;
    const attended = heads("attn_q").flatMap((head, h) => {
      const query = rotated(head, position, layer);
      const kvHead = Math.floor((h * layer.nHeadKv) / layer.nHead);
      const { keys, values } = rows[il]?.[kvHead] as PlainRows;
      const softmax = { ...layer, sinkLogit: sinkLogits?.[h] };
      const weights = plainWeights(query, keys, keys.length - 1, softmax);
      return query.map((_, d) =>
        weights.reduce((sum, w, j) => sum + w * (values[j]?.[d] as number), 0),
      );
    });
    const y = added(hidden, matrix(name("attn_output"), attended));
    const inner = norm(name("ffn_norm"), y);
    const up = matrix(name("ffn_up"), inner);
    const gated = matrix(name("ffn_gate"), inner).map(
      (g, f) => (g / (1 + Math.exp(-g))) * (up[f] as number),
    );
    hidden = added(y, matrix(name("ffn_down"), gated));
  });
  return matrix("token_embd.weight", norm("output_norm.weight", hidden));
}

/** RoPE on neighbouring pairs, or on pairs half of the rotated dimensions apart. */
function rotated(head: readonly number[], position: number, { rope }: LayerShape): number[] {
  const out = [...head];
  const half = rope.dims / 2;
  for (let pair = 0; pair < half; pair++) {
    const [d0, d1] = rope.mode === 0 ? [2 * pair, 2 * pair + 1] : [pair, pair + half];
    const angle = position * rope.freqScale * rope.freqBase ** ((-2 * pair) / rope.dims);
    const [a, b] = [head[d0] as number, head[d1] as number];
    out[d0] = a * Math.cos(angle) - b * Math.sin(angle);
    out[d1] = a * Math.sin(angle) + b * Math.cos(angle);
  }
  return out;
}

function added(a: readonly number[], b: readonly number[]): number[] {
  return a.map((x, i) => x + (b[i] as number));
}
