import { describe, expect, it } from "vitest";
import { KERNELS } from "../../test/helpers/kernels.ts";
import { randomTokens, TestFolder } from "../../test/helpers/tiny-model.ts";
import { normals, seededRandom } from "../../test/helpers/random.ts";
import { resolveCompression } from "../compression/resolve.ts";
import { Decoder } from "../engine/decode/decoder.ts";
import { Session } from "../engine/session.ts";
import { Device } from "../ggml/device.ts";
import { chooseKernels } from "../ggml/kernels/choices.ts";
import { openGguf } from "../gguf/file.ts";
import { Model } from "../models/model.ts";
import { placedOn } from "../models/placement.ts";
import { hadamardMatrix, kvFormat } from "./kv-format.ts";

const times = (matrix: Float32Array, x: Float32Array) =>
  x.map((_, i) =>
    x.reduce((sum, value, j) => sum + (matrix[i * x.length + j] as number) * value, 0),
  );

describe("hadamard", () => {
  it.each([
    [64, 64],
    [96, 32],
    [80, 16],
  ])("of heads of %i in blocks of %i keeps lengths and undoes itself", (headDim, block) => {
    const matrix = hadamardMatrix(headDim, block);
    const x = normals(headDim, 1, seededRandom(3));
    const spread = times(matrix, x);
    const length = (v: Float32Array) => Math.hypot(...v);
    expect(length(spread)).toBeCloseTo(length(x), 4);
    times(matrix, spread).forEach((value, i) => expect(value).toBeCloseTo(x[i] as number, 5));
  });

  it("makes an outlier a little of every value of its block", () => {
    const x = new Float32Array(64);
    x[5] = 8;
    times(hadamardMatrix(64, 64), x).forEach((value) => expect(Math.abs(value)).toBeCloseTo(1, 6));
  });
});

const heads = (...sizes: number[]) => ({
  layers: sizes.map((headDim) => ({ nHeadKv: 1, headDim })),
});

it("transforms by the largest power of two that divides every head", () => {
  expect(kvFormat("q4_0", heads(256, 96)).hadamard).toBe(32);
  expect(kvFormat("q4_0", heads(96)).hadamard).toBe(32);
  expect(kvFormat("q4_0", heads(128)).hadamard).toBe(128);
  expect(kvFormat("q4_0-plain", heads(128)).hadamard).toBe(0);
  expect(kvFormat("q8_0", heads(128)).hadamard).toBe(0);
});

/** Turns, later cuts and recompression read rows that are held as transforms: in f16 that changes roundings alone. */
describe.each(KERNELS)("a transformed cache with %s", (kernels) => {
  it.each([
    ["snapkv", 8],
    ["cake(snapkv)", 8],
    ["merge(snapkv)", 8],
    ["every:8(r-kv)", 8],
    ["rerotate(every:8(streaming-llm))", 0],
  ])("gives %s what a plain one does, over turns and decoding", async (method, window) => {
    using folder = new TestFolder();
    await using file = await openGguf(folder.tiny({ nLayer: 3, nHead: 4, nHeadKv: 2, nEmbd: 256 }));
    using device = new Device({ threads: 1, kernels: chooseKernels(kernels).variant });
    using model = await Model.load(placedOn(device), file);
    using decoder = new Decoder(model);
    const run = async (hadamard: number) => {
      using session = new Session({
        model,
        decoder,
        tokenizer: undefined,
        chunkTokens: 64,
        kvLimit: 64,
        compression: resolveCompression({ method, kvSize: 48, window }),
        kvFormat: { ...kvFormat("f16", model.hp), hadamard },
        onFree: ({ cache }) => decoder.forget({ cache }),
      });
      for (let turn = 0; turn < 3; turn++) {
        await session.prefill(randomTokens(100, turn));
        for (let i = 0; i < 20; i++) await session.decode(3 + i);
      }
      const positions = session.cache.layers.map((l) =>
        l.heads.map((h) => Array.from(h.positions)),
      );
      return { logits: session.logits.slice(), positions };
    };
    const [plain, spread] = [await run(0), await run(64)];
    // The random model's scores are flat: a rounding may swap neighbours in rank.
    const held = plain.positions.flat().map((own, h) => {
      const others = new Set(spread.positions.flat()[h]);
      return own.filter((p) => others.has(p)).length / own.length;
    });
    expect(Math.min(...held)).toBeGreaterThan(0.9);
    expect(spread.logits).not.toEqual(plain.logits);
    const far = Math.max(...spread.logits.map((x, i) => Math.abs(x - (plain.logits[i] as number))));
    expect(far).toBeLessThan(Math.min(...held) < 1 ? 1 : 0.05);
  });
});
