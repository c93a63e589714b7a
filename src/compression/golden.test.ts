import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  compressionOf,
  expectGolden,
  graphScores,
  isOurs,
  lastQueries,
  type GoldenCase,
  type QueriesAndKeys,
} from "../../test/helpers/golden-case.ts";
import { Backend } from "../ggml/backend.ts";
import { Executor } from "../ggml/executor.ts";
import { referenceScores } from "./reference.ts";

const folder = new URL("../../test/golden/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("selections.json", folder), "utf8")) as {
  cases: GoldenCase[];
};
const floats = (file: string) => new Float32Array(readFileSync(new URL(file, folder)).buffer);
const N = 200;
const input: QueriesAndKeys = {
  q: floats("rand_q.f32"),
  k: floats("rand_k.f32"),
  nQueries: N,
  nTokens: N,
  nHead: 6,
  nHeadKv: 2,
  headDim: 16,
};
const ours = cases.filter(isOurs);

let executor: Executor;
beforeAll(() => {
  executor = new Executor(new Backend(1));
});
afterAll(() => executor[Symbol.dispose]());

describe.each(ours)("$lib $name $params", (golden) => {
  const needsNone = compressionOf(golden).method.needs === "nothing";
  const nQueries = golden.name === "H2O" ? N : golden.params.window;

  it("is kept by the plain loops", () => {
    const values = referenceScores(input, nQueries);
    expectGolden(golden, N, needsNone ? null : { ...input, n: N, values });
  });

  it("is kept by the product's graph", async () => {
    const scores = await graphScores(executor, lastQueries(input, nQueries));
    expectGolden(golden, N, needsNone ? null : scores);
  });
});

it.each([8, 32, 200])("graph scores of %i queries equal the plain loops'", async (nQueries) => {
  const fast = await graphScores(executor, lastQueries(input, nQueries));
  const slow = referenceScores(input, nQueries);
  slow.forEach((score, i) => expect(fast.values[i]).toBeCloseTo(score, 5));
});

it("has cases for every method that evicts", () => {
  expect(new Set(ours.map((c) => c.name)).size).toBe(4);
});
