import { expect } from "vitest";
import { keepTokens, layerBudgets } from "../../src/compression/keep.ts";
import { resolveCompression, type Compression } from "../../src/compression/resolve.ts";
import { attentionScores } from "../../src/compression/scores/attention-scores.ts";
import { reduceGroup, type HeadScores } from "../../src/compression/scores/reduce.ts";
import type { Executor } from "../../src/ggml/executor.ts";
import { readTensor } from "../../src/ggml/tensor-buffer.ts";
import { TYPES } from "../../src/ggml/types.ts";

/** One selection that another implementation made (`test/golden/README.md`). */
export interface GoldenCase {
  readonly name: string;
  readonly lib: string;
  readonly granularity: string;
  readonly params: {
    readonly window: number;
    readonly capacity: number;
    readonly kernel?: number;
    readonly pooling?: string;
    readonly gqa?: string;
    readonly beta?: number;
    readonly layers?: number;
    readonly layer?: number;
  };
  readonly kept: readonly (readonly number[])[];
  readonly ties?: readonly { readonly tied: readonly number[] }[];
}

const METHOD_NAMES: Readonly<Record<string, string>> = {
  SnapKV: "snapkv",
  PyramidKV: "pyramidkv",
  H2O: "h2o",
  StreamingLLM: "streaming-llm",
};

/** Whether it is what we do: one selection per kv head, by a method of ours. */
export function isOurs({ granularity, name }: GoldenCase): boolean {
  return granularity === "kv_head" && name in METHOD_NAMES;
}

export function compressionOf({ name, params }: GoldenCase): Compression {
  const { window, capacity, kernel, pooling, gqa, beta } = params;
  return resolveCompression({
    method: METHOD_NAMES[name] ?? "",
    preset: "kvcache-factory",
    kvSize: capacity,
    ...(name === "StreamingLLM" ? { sinks: capacity - window } : { window, alpha: window }),
    ...(kernel === undefined ? {} : { kernel }),
    ...(pooling === undefined ? {} : { pool: pooling.replace("pool", "") }),
    // A sum over the group ranks tokens as the mean does.
    ...(gqa === undefined ? {} : { gqa: gqa === "sum" ? "mean" : gqa }),
    ...(beta === undefined ? {} : { beta }),
  });
}

/** Our selection from these scores is theirs, but for tokens that tie with the last one kept. */
export function expectGolden(golden: GoldenCase, nTokens: number, scores: HeadScores | null): void {
  const compression = compressionOf(golden);
  const { layers = 1, layer = 0 } = golden.params;
  const budget = layerBudgets(compression, layers, nTokens)[layer] ?? 0;
  golden.kept.forEach((theirs, head) => {
    const own = scores && reduceGroup(scores, head, compression.options.gqa);
    const kept = Array.from(keepTokens(compression, own, nTokens, budget));
    const tied = new Set(golden.ties?.[head]?.tied ?? []);
    const firm = (list: readonly number[]) => list.filter((i) => !tied.has(i));
    expect(firm(kept)).toEqual(firm(theirs));
    expect(kept).toHaveLength(theirs.length);
  });
}

export interface QueriesAndKeys {
  /** [nHead][nQueries][headDim]: queries of the last tokens. */
  readonly q: Float32Array;
  /** [nHeadKv][nTokens][headDim] */
  readonly k: Float32Array;
  readonly nQueries: number;
  readonly nTokens: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
}

/** The last `n` queries of each head. */
export function lastQueries(input: QueriesAndKeys, n: number): QueriesAndKeys {
  const { q, nQueries, nHead, headDim } = input;
  const last = new Float32Array(nHead * n * headDim);
  for (let h = 0; h < nHead; h++) {
    const from = (h * nQueries + nQueries - n) * headDim;
    last.set(q.subarray(from, from + n * headDim), h * n * headDim);
  }
  return { ...input, q: last, nQueries: n };
}

/** Scores by the product's own graph, the same as in prefill. */
export async function graphScores(executor: Executor, input: QueriesAndKeys): Promise<HeadScores> {
  const { q, k, nQueries, nTokens, nHead, nHeadKv, headDim } = input;
  const ones = new Float32Array(nQueries * nHead).fill(1);
  const values = await executor.run((g) => {
    const scores = attentionScores(g, {
      k: g.constant(TYPES.f32, [headDim, nTokens, nHeadKv], k),
      q: g.constant(TYPES.f32, [headDim, nQueries, nHead], q),
      ones: g.constant(TYPES.f32, [1, nQueries, nHead], ones),
      nPast: nTokens - nQueries,
      scale: 1 / Math.sqrt(headDim),
    });
    g.output(scores);
    return () => readTensor(scores, new Float32Array(nTokens * nHead));
  });
  return { values, n: nTokens, nHead, nHeadKv };
}
