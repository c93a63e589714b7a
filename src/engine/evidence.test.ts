import { describe, expect, it } from "vitest";
import { F32_KERNELS } from "../../test/helpers/kernels.ts";
import { firstLayer } from "../../test/helpers/reference-layer.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import type { AttentionKind, HeadEvidence, OutputErrors } from "../compression/evidence.ts";
import { uniform } from "../compression/budgets/uniform.ts";
import type { Method } from "../compression/method.ts";
import { referenceScores, type ReferenceRule } from "../../test/helpers/reference-scores.ts";
import { Engine } from "./engine.ts";
import { sampledTokens } from "./observe/samples.ts";

const N = 300;
const MODEL = { nLayer: 2 };
const tokens = randomTokens(N);

/** Runs a prompt with a method that only looks; what it saw of the first layer. */
async function seen<T>(
  kernels: string,
  part: Pick<Method, "needs" | "probe">,
  look: (heads: readonly HeadEvidence[]) => T,
  { read = tokens, chunkTokens = 384 } = {},
): Promise<T> {
  using folder = new TestFolder();
  const model = folder.tiny(MODEL);
  await using engine = await Engine.load({ model, threads: 1, kernels, chunkTokens });
  let result: T | undefined;
  const method: Method = {
    name: "looks",
    summary: "",
    queryAware: false,
    options: ["kvSize"],
    budget: uniform,
    ...part,
    score: ({ il, heads }) => {
      if (il === 0) result = look(heads);
      return heads.map(() => null);
    },
  };
  using session = engine.createSession({ method, kvSize: 32 });
  await session.prefill(read);
  return result as T;
}

function expectClose(ours: ArrayLike<number>, theirs: ArrayLike<number>, tolerance: number): void {
  expect(ours).toHaveLength(theirs.length);
  for (let i = 0; i < ours.length; i++) {
    const difference = Math.abs((ours[i] ?? NaN) - (theirs[i] ?? NaN));
    if (!(difference <= tolerance)) throw new Error(`at ${i}: ${ours[i]} against ${theirs[i]}`);
  }
}

describe.each(F32_KERNELS)("what a prompt shows, with %s", (kernels) => {
  const prompt = firstLayer(MODEL, tokens);
  const group = prompt.nHead / prompt.nHeadKv;

  it.each([
    ["sums", { nQueries: N }],
    ["far-sums", { nQueries: N, distance: 64 }],
  ] satisfies [AttentionKind, ReferenceRule][])("%s", async (kind, rule) => {
    const all = await seen(kernels, { needs: [kind] }, (heads) =>
      heads.map((head) => head.attention(kind)),
    );
    const expected = referenceScores(prompt, rule);
    all.forEach((scores, h) =>
      expectClose(scores, expected.subarray(h * group * N, (h + 1) * group * N), 2e-4),
    );
  });

  it.each([
    ["sampled-sums", 0],
    ["sampled-far-sums", 64],
  ] as const)("%s: the last 64 of every 256 tokens and of the prompt", async (kind, distance) => {
    const long = randomTokens(1300);
    const all = await seen(
      kernels,
      { needs: [kind] },
      (heads) => heads.map((head) => ({ sums: head.attention(kind), counted: head.counted(kind) })),
      { read: long, chunkTokens: 100 }, // samples lie across chunks
    );
    const layer = firstLayer(MODEL, long);
    const counts = (i: number) => (i < 1024 && i % 256 >= 192) || i >= 1236;
    const expected = referenceScores(layer, { nQueries: 1300, distance, counts });
    all.forEach(({ sums, counted }, h) => {
      expectClose(sums, expected.subarray(h * group * 1300, (h + 1) * group * 1300), 2e-4);
      const could = (j: number) =>
        long.reduce((n, _, i) => n + Number(counts(i) && i - j >= distance), 0);
      for (const j of [0, 191, 192, 200, 1000, 1100, 1299]) expect(counted[j]).toBe(could(j));
    });
  });

  it("peaks of a replay: the prompt once more, after itself", async () => {
    const all = await seen(kernels, { needs: ["peaks"], probe: "replay" }, (heads) =>
      heads.map((head) => head.attention("peaks")),
    );
    const twice = firstLayer(MODEL, Int32Array.from([...tokens, ...tokens]));
    const expected = referenceScores(twice, { nQueries: N, peaks: true });
    all.forEach((scores, h) => {
      for (let g = 0; g < group; g++) {
        const row = (h * group + g) * 2 * N;
        expectClose(scores.subarray(g * N, (g + 1) * N), expected.subarray(row, row + N), 1e-4);
      }
    });
  });

  it("keys before rotation", async () => {
    const all = await seen(kernels, { needs: ["plain-keys"] }, (heads) =>
      heads.map((head) => head.plainKeys()),
    );
    const size = N * prompt.headDim;
    all.forEach((keys, h) =>
      expectClose(keys, prompt.plainKeys.subarray(h * size, (h + 1) * size), 3e-3),
    );
  });

  it("what the layer's result loses where a head sees few keys", async () => {
    const all = await seen(kernels, { needs: ["outputs"] }, (heads) =>
      heads.map((head) => head.outputErrors()),
    );
    all.forEach((own: OutputErrors, kvHead) => {
      expectClose(own.errors, lossOf(kvHead), 2e-3);
    });
  });

  /** ‖W_o (out − out of 4 sinks and 20 newest)‖ in plain loops. */
  function lossOf(kvHead: number): number[] {
    const { q, k, v, headDim, nHead } = prompt;
    const weight = tinyModel(MODEL).tensors.find((t) => t.name === "blk.0.attn_output.weight");
    const { data } = weight as { data: Uint8Array };
    const matrix = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
    const width = headDim * nHead;
    const attend = (head: number, i: number, keys: readonly number[]) => {
      const row = (of: Float32Array, h: number, at: number) =>
        of.subarray((h * N + at) * headDim, (h * N + at + 1) * headDim);
      const query = row(q, head, i);
      const logits = keys.map(
        (j) =>
          row(k, kvHead, j).reduce((s, x, d) => s + x * (query[d] ?? 0), 0) / Math.sqrt(headDim),
      );
      const most = Math.max(...logits);
      const weights = logits.map((x) => Math.exp(x - most));
      const sum = weights.reduce((a, b) => a + b, 0);
      return Array.from({ length: headDim }, (_, d) =>
        keys.reduce((s, j, at) => s + ((weights[at] ?? 0) / sum) * (row(v, kvHead, j)[d] ?? 0), 0),
      );
    };
    return Array.from(sampledTokens(N), (i) => {
      const visible = Array.from({ length: i + 1 }, (_, j) => j);
      const few = visible.filter((j) => j < 4 || j > i - 20);
      const moved = new Float64Array(matrix.length / width);
      for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
        const [all, starved] = [attend(head, i, visible), attend(head, i, few)];
        moved.forEach((_, m) => {
          for (let d = 0; d < headDim; d++) {
            const w = matrix[m * width + head * headDim + d] ?? 0;
            moved[m] = (moved[m] ?? 0) + w * ((all[d] ?? 0) - (starved[d] ?? 0));
          }
        });
      }
      return Math.hypot(...moved);
    });
  }
});
