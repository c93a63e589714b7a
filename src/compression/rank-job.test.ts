import { expect, it } from "vitest";
import { METHOD_CASES } from "../../test/helpers/method-names.ts";
import { normals, seededRandom } from "../../test/helpers/random.ts";
import type { LayerEvidence } from "./evidence.ts";
import { METHODS } from "./methods.ts";
import type { HeadProfile } from "./profile.ts";
import { rank, rankJob, readsRows, sourceOf, type MethodSource } from "./rank-job.ts";
import { resolveCompression } from "./resolve.ts";

const [N, GROUP, HEAD_DIM] = [150, 2, 16];

/** Evidence by chance. */
function evidence(): LayerEvidence {
  const random = seededRandom(11);
  const weights = (n: number) => Float32Array.from({ length: n }, random);
  const rows = () => normals(N * HEAD_DIM, 1, random);
  const head = () => {
    const [keys, plainKeys, values] = [rows(), rows(), rows()];
    const received = new Map<string, Float32Array>();
    const of = (kind: string, n: number) => {
      const found = received.get(kind) ?? weights(n);
      received.set(kind, found);
      return found;
    };
    const statistics = {
      mean: normals(HEAD_DIM * GROUP, 1, random),
      covariance: weights(HEAD_DIM * HEAD_DIM * GROUP),
      futureRotation: normals(HEAD_DIM, 1, random),
      neox: false,
      rotated: HEAD_DIM,
    };
    return {
      n: N,
      group: GROUP,
      headDim: HEAD_DIM,
      attention: (kind: string) => of(kind, N * GROUP),
      counted: (kind: string) => of(`counted ${kind}`, N),
      keys: () => keys,
      plainKeys: () => plainKeys,
      values: () => values,
      queries: () => statistics,
      outputErrors: () => ({ errors: weights(100), residual: 1 }),
    };
  };
  return { il: 1, heads: [head(), head()] };
}

const profile: HeadProfile = {
  model: "m",
  weights: [
    [0.5, 0.5],
    [0.7, 0.3],
  ],
  shares: [
    [0.1, 0.9],
    [0.2, 0.8],
  ],
};

it.each([
  ...METHOD_CASES.map((name) => [name, undefined] as const),
  ["funnel", profile] as const,
  ["chunk:4(funnel)", profile] as const,
])("%s ranks data as it ranks evidence", (name, known) => {
  const { method, options, source } = resolveCompression({ method: name, kvSize: 40 }, known);
  const layer = evidence();
  const job = structuredClone(rankJob(source as MethodSource, method, layer, options));
  expect(rank(job)).toEqual(method.score(layer, options));
});

it("only our own methods can be made again", () => {
  expect(sourceOf("every:8(chunk(lagkv))", undefined)?.text).toBe("every:8(chunk(lagkv))");
  expect(sourceOf("every:8(mine)", undefined)).toBeUndefined();
  expect(resolveCompression({ method: METHODS.lagkv }).source).toBeUndefined();
});

it("knows which methods go through rows", () => {
  const names = Object.values(METHODS)
    .filter(readsRows)
    .map(({ name }) => name);
  expect(names).toEqual(["knorm", "keydiff", "lagkv", "leverage", "expected-attention", "r-kv"]);
});
