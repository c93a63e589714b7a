import type { ReferenceInput } from "./reference-scores.ts";
import { tinyModel, type TinyOptions } from "./tiny-model.ts";

export interface FirstLayer extends ReferenceInput {
  /** Queries before rotation, [nHead][nTokens][headDim]. */
  readonly plainQueries: Float32Array;
  /** Keys before rotation, [nHeadKv][nTokens][headDim], not rounded. */
  readonly plainKeys: Float32Array;
}

/**
 * Queries, keys and values of a tiny model's first layer in plain loops, from the file's own weights: embedding,
 * RMS norm, projection, RoPE on neighbouring pairs. Keys and values are rounded to f16, as the cache holds them.
 */
export function firstLayer(options: TinyOptions, tokens: Int32Array): FirstLayer {
  const { tensors } = tinyModel(options);
  const weight = (name: string) => {
    const { data } = tensors.find((t) => t.name === name) as { data: Uint8Array };
    return new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
  };
  const { nEmbd = 64, nHead = 4, nHeadKv = 2 } = options;
  const headDim = options.headDim ?? nEmbd / nHead;
  const nTokens = tokens.length;
  const embedding = weight("token_embd.weight");
  const norm = weight("blk.0.attn_norm.weight");

  const hidden = Array.from(tokens, (token) => {
    const x = embedding.subarray(token * nEmbd, (token + 1) * nEmbd);
    const meanSquare = x.reduce((sum, v) => sum + v * v, 0) / nEmbd;
    return x.map((v, i) => (v / Math.sqrt(meanSquare + 1e-5)) * (norm[i] ?? 0));
  });

  const heads = (matrix: Float32Array, n: number, rotated = true): Float32Array => {
    const out = new Float32Array(n * nTokens * headDim);
    hidden.forEach((h, position) => {
      for (let head = 0; head < n; head++) {
        const row = (d: number) => {
          const at = (head * headDim + d) * nEmbd;
          return h.reduce((sum, v, i) => sum + v * (matrix[at + i] ?? 0), 0);
        };
        for (let d = 0; d < headDim; d += 2) {
          const angle = rotated ? position * 10_000 ** (-d / headDim) : 0;
          const [a, b] = [row(d), row(d + 1)];
          const at = (head * nTokens + position) * headDim + d;
          out[at] = a * Math.cos(angle) - b * Math.sin(angle);
          out[at + 1] = a * Math.sin(angle) + b * Math.cos(angle);
        }
      }
    });
    return out;
  };

  const q = heads(weight("blk.0.attn_q.weight"), nHead);
  const k = heads(weight("blk.0.attn_k.weight"), nHeadKv).map(roundToF16);
  const v = heads(weight("blk.0.attn_v.weight"), nHeadKv, false).map(roundToF16);
  const plainQueries = heads(weight("blk.0.attn_q.weight"), nHead, false);
  const plainKeys = heads(weight("blk.0.attn_k.weight"), nHeadKv, false);
  return { q, k, v, plainQueries, plainKeys, nTokens, nHead, nHeadKv, headDim };
}

/** The nearest f16 to a number in f16's normal range. */
function roundToF16(x: number): number {
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(x) || 1)));
  const unit = 2 ** (exponent - 10);
  return Math.round(x / unit) * unit;
}
