import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Device } from "../../src/ggml/device.ts";
import { fromHalf } from "../../src/ggml/half.ts";
import { referenceEvidence, type ReferenceInput } from "../helpers/reference-scores.ts";
import {
  compressionOf,
  expectGolden,
  isOurs,
  keptOf,
  type GoldenCase,
} from "../helpers/golden-case.ts";
import { graphScores } from "../helpers/graph-scores.ts";
import { sharedPath } from "../helpers/shared.ts";

/** What the Python code kept of real queries and keys: one kv head of layer 2 over 1,982 tokens. */
const folder = sharedPath("fixtures");

describe.skipIf(folder === undefined)("selections on real queries and keys", () => {
  const { cases, input } = folder === undefined ? { cases: [], input: undefined } : load(folder);
  let device: Device;
  beforeAll(() => {
    device = new Device({ threads: 2 });
  });
  afterAll(() => device[Symbol.dispose]());

  it.each(cases)("$lib $name $params", async (golden) => {
    const real = input as ReferenceInput;
    const { alpha } = compressionOf(golden).options;
    const scores = await graphScores(device, real, { nQueries: alpha });
    const [head] = referenceEvidence(real, { alpha }).heads;
    const heads = head === undefined ? [] : [{ ...head, attention: () => scores }];
    expectGolden(golden, keptOf(golden, { il: 0, heads }));
  });

  it("has cases", () => expect(cases.length).toBeGreaterThan(3));
});

function load(path: string): { cases: GoldenCase[]; input: ReferenceInput } {
  const { layers } = JSON.parse(readFileSync(join(path, "real.json"), "utf8")) as {
    layers: { cases: GoldenCase[] }[];
  };
  const input = {
    q: readHalves(join(path, "real_l2_q.f16")),
    k: readHalves(join(path, "real_l2_k.f16")),
    v: new Float32Array(0),
    nTokens: 1982,
    nHead: 3,
    nHeadKv: 1,
    headDim: 64,
  };
  return { cases: (layers[0]?.cases ?? []).filter(isOurs), input };
}

function readHalves(path: string): Float32Array {
  const bytes = readFileSync(path);
  return fromHalf(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2));
}
