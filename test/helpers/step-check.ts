import { expect } from "vitest";
import { fromHalf } from "../../src/ggml/half.ts";
import { readTensor, type Tensor } from "../../src/ggml/tensor-buffer.ts";
import type { Session } from "../../src/engine/session.ts";
import type { KvCache } from "../../src/kvcache/kv-cache.ts";
import { tolerance } from "./kernels.ts";
import { plainStep, type PlainMemory } from "./plain-model.ts";
import { tinyModel, type TinyModel, type TinyOptions } from "./tiny-model.ts";

/**
 * Decodes a token and holds its logits against plain loops over the rows that the cache holds: whatever was evicted,
 * merged, moved or appended before, no row is lost, none is read that is not there.
 */
export async function expectStep(
  session: Session,
  of: { token: number; model: TinyOptions; kernels: string; limit?: number },
): Promise<void> {
  const { token, model, kernels, limit = 2e-3 } = of;
  const plain = modelOf(model);
  const memory = plain.hp.layers.map((_, il) => memoryOf(session.cache, il));
  const expected = plainStep(plain, memory, token, session.nPast, halves);
  await session.decode(token);
  const worst = session.logits.reduce(
    (most, x, i) => Math.max(most, Math.abs(x - (expected[i] ?? NaN))),
    0,
  );
  // ggml's own attention of a single query sums in f16.
  expect(worst).toBeLessThan(tolerance(kernels, kernels === "ggml" ? 0.03 : limit));
}

/** A row's numbers as f16 has them, if none is below its smallest normal one. */
function halves(row: readonly number[]): number[] {
  return row.map((x) => {
    const step = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(x)))) - 10);
    return Math.round(x / step) * step;
  });
}

const models = new WeakMap<TinyOptions, TinyModel>();

/** Made once for the same options: it takes longer than a step. */
function modelOf(options: TinyOptions): TinyModel {
  const known = models.get(options) ?? tinyModel(options);
  models.set(options, known);
  return known;
}

/** What layer `il` of a f16 cache holds: rows by kv head, or a state. */
function memoryOf(cache: KvCache, il: number): PlainMemory {
  const layer = cache.layer(il);
  if (layer === undefined) return { rows: [], state: cache.state(il)?.read() ?? [] };
  const { k, v, headDim, heads } = layer;
  const rows = heads.map(({ row, length }) => {
    const read = (tensor: Tensor) => {
      const bits = new Uint16Array(length * headDim);
      const values = fromHalf(readTensor(tensor, bits, row * headDim * 2));
      return Array.from({ length }, (_, i) => values.subarray(i * headDim, (i + 1) * headDim));
    };
    return { keys: read(k), values: read(v) };
  });
  return { rows, state: [] };
}
