import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectGolden, isOurs, keptOf, type GoldenCase } from "../../test/helpers/golden-case.ts";
import { graphScores } from "../../test/helpers/graph-scores.ts";
import { Device } from "../ggml/device.ts";
import { keepTokens } from "./keep.ts";
import {
  referenceEvidence,
  referenceQueries,
  referenceScores,
  type ReferenceInput,
} from "../../test/helpers/reference-scores.ts";
import { resolveCompression } from "./resolve.ts";

const folder = new URL("../../test/golden/", import.meta.url);
const { cases } = JSON.parse(readFileSync(new URL("selections.json", folder), "utf8")) as {
  cases: GoldenCase[];
};
const floats = (file: string) => {
  // The memory behind a Buffer may be larger than what was read.
  const { buffer, byteOffset, byteLength } = readFileSync(new URL(file, folder));
  return new Float32Array(buffer, byteOffset, byteLength / 4);
};
const N = 200;
const input: ReferenceInput = {
  q: floats("rand_q.f32"),
  k: floats("rand_k.f32"),
  v: floats("rand_v.f32"),
  nTokens: N,
  nHead: 6,
  nHeadKv: 2,
  headDim: 16,
};
const ours = cases.filter(isOurs);
const isAda = ({ name }: GoldenCase) => name.startsWith("AdaKV");
const evidenceOf = ({ name, params }: GoldenCase) =>
  referenceEvidence(input, { alpha: name === "TOVA" ? 1 : (params.window ?? N) });

it.each(ours.filter((golden) => !isAda(golden)))("$lib $name $params", (golden) => {
  expectGolden(golden, keptOf(golden, evidenceOf(golden)));
});

it.each(ours.filter(isAda))("$lib $name $params: the same but for a few", (golden) => {
  const kept = keptOf(golden, evidenceOf(golden));
  golden.kept.forEach((theirs, head) => {
    const mine = kept[head] ?? [];
    // Theirs rounds budgets (and does not keep the total); ours compares scores over their sums.
    expect(Math.abs(mine.length - theirs.length)).toBeLessThanOrEqual(2);
    const [fewer, more] = mine.length < theirs.length ? [mine, theirs] : [theirs, mine];
    expect(fewer.filter((i) => !more.includes(i)).length).toBeLessThanOrEqual(1);
  });
});

it("kvpress ExpectedAttention, with covariance and the values' norms", () => {
  const theirs = cases.find((c) => c.name === "ExpectedAttention" && c.params.kept === 32);
  const { options, method } = resolveCompression({ method: "expected-attention", kvSize: 32 });
  const seen = referenceEvidence(input, { alpha: 1 });
  // Its queries are those before rotation, and the sinks are left out of their statistics.
  const heads = seen.heads.map((head, h) => ({
    ...head,
    queries: () => referenceQueries(input, h, { skip: 4, future: 64, neox: true }),
  }));
  const rankings = method.score({ ...seen, heads }, options);
  const kept = rankings.map((ranking) => Array.from(keepTokens(ranking, N, 32, options)));
  expectGolden(theirs as GoldenCase, kept);
});

it("has cases for the methods of both implementations", () => {
  expect(new Set(ours.map((c) => `${c.lib} ${c.name}`)).size).toBe(14);
});

describe("the graph of scores", () => {
  let device: Device;
  beforeAll(() => {
    device = new Device({ threads: 1 });
  });
  afterAll(() => device[Symbol.dispose]());

  it.each([
    { nQueries: 8 },
    { nQueries: 32 },
    { nQueries: 200 },
    { nQueries: 100, distance: 64 },
    { nQueries: 100, peaks: true },
  ])("gives what plain loops give, %o", async (rule) => {
    const fast = await graphScores(device, input, rule);
    referenceScores(input, rule).forEach((score, i) => expect(fast[i]).toBeCloseTo(score, 5));
  });
});
