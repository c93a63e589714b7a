import { describe, expect, it } from "vitest";
import { F32_KERNELS } from "../../test/helpers/kernels.ts";
import { plainWeights } from "../../test/helpers/plain-attention.ts";
import { firstLayer } from "../../test/helpers/reference-layer.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { variant } from "../../test/helpers/variant.ts";
import { uniform } from "../compression/budgets/uniform.ts";
import type { AttentionKind, LayerEvidence } from "../compression/evidence.ts";
import type { Method } from "../compression/method.ts";
import { Engine } from "./engine.ts";

/** Of which many queries ask, and how far away. */
const KINDS = { window: 8, sums: Infinity, "far-sums": Infinity } as const;
const FAR = 64;

const SHAPES = {
  "a soft-cap": { softcap: 1 },
  "sink logits": { sinkLogits: true },
  "another scale": { scale: 0.4 },
  "all of them": { softcap: 1, sinkLogits: true, scale: 0.4 },
} as const;

/** What each token receives of the first layer's last queries, by query head and in plain loops. */
function received(
  shape: (typeof SHAPES)[keyof typeof SHAPES],
  n: number,
  kind: keyof typeof KINDS,
) {
  const options = { architecture: variant(() => shape), nLayer: 1 };
  const { q, k, nHead, nHeadKv, headDim } = firstLayer(options, randomTokens(n));
  const { hp, tensors } = tinyModel(options);
  const layer = hp.layers[0] as (typeof hp.layers)[number];
  const sinks = tensors.find(({ name }) => name.includes("attn_sinks"))?.data;
  const sinkLogits = sinks && new Float32Array(sinks.buffer, sinks.byteOffset, nHead);
  const rows = (all: Float32Array, head: number) =>
    Array.from({ length: n }, (_, i) =>
      all.subarray((head * n + i) * headDim).subarray(0, headDim),
    );
  return Array.from({ length: nHead }, (_, h) => {
    const keys = rows(k, Math.floor((h * nHeadKv) / nHead));
    const sum = new Float64Array(n);
    for (let i = Math.max(0, n - KINDS[kind]); i < n; i++) {
      const query = q.subarray((h * n + i) * headDim, (h * n + i + 1) * headDim);
      plainWeights(query, keys, i, { ...layer, sinkLogit: sinkLogits?.[h] }).forEach((w, j) => {
        if (kind !== "far-sums" || i - j >= FAR) sum[j] = (sum[j] as number) + w;
      });
    }
    return sum;
  });
}

/** A method that only looks at the first layer. */
function looking(kind: AttentionKind, onSeen: (scores: Float32Array[]) => void): Method {
  return {
    name: "looks",
    summary: "",
    queryAware: false,
    options: ["kvSize", "alpha", "window"],
    budget: uniform,
    needs: [kind],
    score: ({ il, heads }: LayerEvidence) => {
      if (il === 0) onSeen(heads.map((head) => head.attention(kind).slice()));
      return heads.map(() => null);
    },
  };
}

function expectClose(seen: readonly Float32Array[], expected: readonly Float64Array[]): void {
  const all = seen.flatMap((scores) => Array.from(scores));
  const plain = expected.flatMap((scores) => Array.from(scores));
  expect(all).toHaveLength(plain.length);
  all.forEach((x, i) => expect(Math.abs(x - (plain[i] as number))).toBeLessThan(2e-4));
}

const cases = F32_KERNELS.flatMap((kernels) =>
  Object.entries(SHAPES).flatMap(([name, shape]) =>
    (Object.keys(KINDS) as (keyof typeof KINDS)[]).map(
      (kind) => [kind, name, kernels, shape] as const,
    ),
  ),
);

describe("attention received", () => {
  it.each(cases)("%s with %s, by %s, is plain loops'", async (kind, _, kernels, shape) => {
    using folder = new TestFolder();
    const model = folder.tiny({ architecture: variant(() => shape), nLayer: 1 });
    await using engine = await Engine.load({ model, threads: 1, kernels, chunkTokens: 60 });
    let seen: Float32Array[] = [];
    const recipe = { method: looking(kind, (scores) => (seen = scores)), every: 8 };
    const tokens = randomTokens(136);
    using session = engine.createSession({ method: recipe, kvSize: 130, alpha: 8, window: 0 });
    // Of 131 tokens one is evicted: then what the prompt shows. Of 124, and 8 decoded ones, what these do.
    await session.prefill(tokens.subarray(0, 131));
    expectClose(seen, received(shape, 131, kind));
    using decoding = engine.createSession({ method: recipe, kvSize: 130, alpha: 8, window: 0 });
    await decoding.prefill(tokens.subarray(0, 124));
    for (const token of tokens.subarray(124, 132)) await decoding.decode(token);
    expectClose(seen, received(shape, 132, kind));
  });
});
