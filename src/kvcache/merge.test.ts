import { describe, expect, it } from "vitest";
import { Device } from "../ggml/device.ts";
import { writeTensor, type Tensor } from "../ggml/tensor-buffer.ts";
import { TYPES } from "../ggml/types.ts";
import { normals, seededRandom } from "../../test/helpers/random.ts";
import { mergedValues } from "./merge.ts";
import { complement } from "./rows.ts";

const HEAD_DIM = 32;

describe("mergedValues", () => {
  it("averages each evicted value into that of the kept token with the most similar key", async () => {
    using device = new Device({ threads: 1 });
    const n = 5000;
    const spec = { type: TYPES.f32, shape: [HEAD_DIM, n] };
    using buffer = device.allocate([spec, spec]);
    const [k, v] = buffer.tensors as [Tensor, Tensor];
    const [keys, values] = [1, 2].map((seed) => normals(n * HEAD_DIM, 1, seededRandom(seed))) as [
      Float32Array,
      Float32Array,
    ];
    writeTensor(k, keys);
    writeTensor(v, values);
    const kept = Int32Array.of(0, 7, 300, 2999, 4999);
    const source = { device, k, v, format: { hadamard: 0 } };
    const heads = [
      { rows: kept, evicted: complement(kept, n) },
      { rows: Int32Array.of(3, 4) },
      { rows: new Int32Array(0) },
    ];
    const weight = 0.25;
    const merged = await mergedValues(source, heads, { weight, headDim: HEAD_DIM });

    const row = (of: Float32Array, i: number) => of.subarray(i * HEAD_DIM, (i + 1) * HEAD_DIM);
    const cosine = (a: Float32Array, b: Float32Array) =>
      a.reduce((sum, x, d) => sum + x * (b[d] as number), 0) / Math.hypot(...a) / Math.hypot(...b);
    const sums = Array.from(kept, (i) => ({ total: 1, value: Float64Array.from(row(values, i)) }));
    for (const i of complement(kept, n)) {
      const likeness = Array.from(kept, (j) => cosine(row(keys, i), row(keys, j)));
      const to = sums[likeness.indexOf(Math.max(...likeness))] as (typeof sums)[number];
      to.total += weight;
      row(values, i).forEach((x, d) => (to.value[d] = (to.value[d] as number) + weight * x));
    }
    sums.forEach(({ total, value }, i) =>
      value.forEach((x, d) => expect(row(merged, i)[d]).toBeCloseTo(x / total, 4)),
    );
    expect(merged.slice(5 * HEAD_DIM)).toEqual(values.slice(3 * HEAD_DIM, 5 * HEAD_DIM));
  });
});

it("complement lists what is not kept", () => {
  expect(complement(Int32Array.of(1, 4), 6)).toEqual(Int32Array.of(0, 2, 3, 5));
  expect(complement(new Int32Array(0), 2)).toEqual(Int32Array.of(0, 1));
  expect(complement(Int32Array.of(0, 1), 2)).toEqual(new Int32Array(0));
});
