import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Backend } from "../ggml/backend.ts";
import { Executor } from "../ggml/executor.ts";
import { readTensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import { keepTokens, layerBudgets } from "./keep.ts";
import { referenceScores } from "./reference.ts";
import { resolveCompression } from "./resolve.ts";
import { attentionScores } from "./scores/attention-scores.ts";
import { reduceGroup } from "./scores/reduce.ts";

interface GoldenCase {
  name: string;
  lib: string;
  granularity: string;
  params: {
    window: number;
    capacity: number;
    kernel?: number;
    pooling?: string;
    gqa?: string;
    beta?: number;
    layers?: number;
    layer?: number;
  };
  kept: number[][];
  ties?: { kth: number; tied: number[] }[];
}

const folder = new URL("../../test/golden/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("selections.json", folder), "utf8")) as {
  cases: GoldenCase[];
};
const floats = (file: string) => new Float32Array(readFileSync(new URL(file, folder)).buffer);
const input = {
  q: floats("rand_q.f32"),
  k: floats("rand_k.f32"),
  nTokens: 200,
  nHead: 6,
  nHeadKv: 2,
  headDim: 16,
};

/** What we do: one selection per kv head; AdaKV's budgets per head are another method's. */
const METHOD_NAMES: Record<string, string> = {
  SnapKV: "snapkv",
  PyramidKV: "pyramidkv",
  H2O: "h2o",
  StreamingLLM: "streaming-llm",
};
const ours = cases.filter((c) => c.granularity === "kv_head" && c.name in METHOD_NAMES);

let executor: Executor;
beforeAll(() => {
  executor = new Executor(new Backend(2));
});
afterAll(() => executor[Symbol.dispose]());

/** The product's own scores: the same graph as in prefill, from the fixture's q and k. */
function graphScores(nQueries: number): Promise<Float32Array> {
  const { q, k, nTokens, nHead, nHeadKv, headDim } = input;
  const last = new Float32Array(nHead * nQueries * headDim);
  for (let h = 0; h < nHead; h++) {
    const from = (h * nTokens + nTokens - nQueries) * headDim;
    last.set(q.subarray(from, from + nQueries * headDim), h * nQueries * headDim);
  }
  return executor.run((g) => {
    const scores = attentionScores(g, {
      k: g.constant(TYPES.f32, [headDim, nTokens, nHeadKv], k),
      q: g.constant(TYPES.f32, [headDim, nQueries, nHead], last),
      ones: g.constant(TYPES.f32, [1, nQueries, nHead], new Float32Array(nQueries * nHead).fill(1)),
      nPast: nTokens - nQueries,
      scale: 1 / Math.sqrt(headDim),
    });
    g.output(scores);
    return () => readTensor(scores, new Float32Array(nTokens * nHead));
  });
}

function compressionOf({ name, params }: GoldenCase) {
  const { window, capacity, kernel, pooling, gqa, beta } = params;
  const streaming = name === "StreamingLLM";
  return resolveCompression({
    method: METHOD_NAMES[name] ?? "",
    preset: "kvcache-factory",
    kvSize: capacity,
    ...(streaming ? { sinks: capacity - window } : { window, alpha: window }),
    ...(kernel === undefined ? {} : { kernel }),
    ...(pooling === undefined ? {} : { pool: pooling.replace("pool", "") }),
    // A sum over the group ranks tokens as the mean does.
    ...(gqa === undefined ? {} : { gqa: gqa === "sum" ? "mean" : gqa }),
    ...(beta === undefined ? {} : { beta }),
  });
}

describe.each(ours)("$lib $name $params", (golden) => {
  const { name, params, kept, ties } = golden;
  const compression = compressionOf(golden);
  const nQueries = name === "H2O" ? input.nTokens : params.window;
  const { layers = 1, layer = 0 } = params;
  const budget = layerBudgets(compression, layers, input.nTokens)[layer] ?? 0;

  function expectGolden(values: Float32Array | null): void {
    kept.forEach((theirs, head) => {
      const shape = { n: input.nTokens, nHead: input.nHead, nHeadKv: input.nHeadKv };
      const scores =
        values === null ? null : reduceGroup({ ...shape, values }, head, compression.options.gqa);
      const own = Array.from(keepTokens(compression, scores, input.nTokens, budget));
      const tied = new Set(ties?.[head]?.tied ?? []);
      const firm = (list: readonly number[]) => list.filter((i) => !tied.has(i));
      expect(firm(own)).toEqual(firm(theirs));
      expect(own).toHaveLength(theirs.length);
    });
  }

  it("is kept by the plain loops", () => {
    const needsNone = compression.method.needs === "nothing";
    expectGolden(needsNone ? null : referenceScores(input, nQueries));
  });

  it("is kept by the product's graph", async () => {
    const needsNone = compression.method.needs === "nothing";
    expectGolden(needsNone ? null : await graphScores(nQueries));
  });
});

it.each([8, 32, 200])("graph scores of %i queries equal the plain loops'", async (nQueries) => {
  const fast = await graphScores(nQueries);
  const slow = referenceScores(input, nQueries);
  slow.forEach((score, i) => expect(fast[i]).toBeCloseTo(score, 5));
});

it("has cases for every scored method", () => {
  expect(new Set(ours.map((c) => c.name)).size).toBe(4);
});
