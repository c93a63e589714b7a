import type { LayerShape } from "../../src/models/layer-shape.ts";
import { dot, plainWeights } from "./plain-attention.ts";
import type { TinyModel } from "./tiny-model.ts";

/**
 * A tiny dense model of llama's layers in plain loops and f64, its layers of any shape: logits after every token.
 * Keys and values are not rounded.
 */
export function plainLogits({ hp, tensors }: TinyModel, tokens: ArrayLike<number>): number[][] {
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
  let hidden = Array.from(tokens, (token) =>
    Array.from(embedding.subarray(token * hp.nEmbd, (token + 1) * hp.nEmbd)),
  );
  hp.layers.forEach((layer, il) => {
    const name = (part: string) => `blk.${il}.${part}.weight`;
    const inputs = hidden.map((x) => norm(name("attn_norm"), x));
    const heads = (part: string, isRotated: boolean) =>
      inputs.map((x, position) => {
        const all = matrix(name(part), x);
        return Array.from({ length: all.length / layer.headDim }, (_, h) => {
          const head = all.slice(h * layer.headDim, (h + 1) * layer.headDim);
          return isRotated ? rotated(head, position, layer) : head;
        });
      });
    const [q, k, v] = [heads("attn_q", true), heads("attn_k", true), heads("attn_v", false)];
    const sinkLogits = layer.sinkLogits ? weight(name("attn_sinks")) : undefined;
    hidden = hidden.map((x, i) => {
      const attended = (q[i] as number[][]).flatMap((query, h) => {
        const kvHead = Math.floor((h * layer.nHeadKv) / layer.nHead);
        const keys = k.map((all) => all[kvHead] as number[]);
        const weights = plainWeights(query, keys, i, { ...layer, sinkLogit: sinkLogits?.[h] });
        return query.map((_, d) =>
          weights.reduce((sum, w, j) => sum + w * (v[j]?.[kvHead]?.[d] as number), 0),
        );
      });
      const y = added(x, matrix(name("attn_output"), attended));
      const inner = norm(name("ffn_norm"), y);
      const up = matrix(name("ffn_up"), inner);
      const gated = matrix(name("ffn_gate"), inner).map(
        (g, f) => (g / (1 + Math.exp(-g))) * (up[f] as number),
      );
      return added(y, matrix(name("ffn_down"), gated));
    });
  });
  return hidden.map((x) => {
    const last = norm("output_norm.weight", x);
    return matrix("token_embd.weight", last);
  });
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
