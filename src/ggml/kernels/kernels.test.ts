import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Device, type WeightMemory } from "../device.ts";
import { readTensor, writeTensor, type Tensor } from "../tensor-buffer.ts";
import { TYPES } from "../types.ts";
import { chooseKernels, KERNEL_CHOICES } from "./choices.ts";
import { kernelLibrary, loadKernelLibrary, SELFTEST_OPERATIONS } from "./library.ts";

const folder = mkdtempSync(join(tmpdir(), "pyramidkv-kernels-"));
afterAll(() => rmSync(folder, { recursive: true }));

const library = kernelLibrary();
if (typeof library === "string") throw new Error(`these tests need the kernels: ${library}`);
const running = library.variants.filter((v) => v.available);

describe("the library", () => {
  it("knows every variant of this architecture by a name that can be asked for", () => {
    for (const { name } of library.variants) expect(KERNEL_CHOICES).toContain(name);
  });

  it.each(running)("$name passes its self-test", (variant) => {
    expect(Object.keys(variant.errors())).toEqual([...SELFTEST_OPERATIONS]);
    for (const error of Object.values(variant.errors())) expect(error).toBeGreaterThan(0);
    expect(variant.passes()).toBe(true);
  });

  it("says why it is not there, or does not load", () => {
    expect(loadKernelLibrary(join(folder, "nothing"))).toBe("they were not built");
    const damaged = process.platform === "darwin" ? "dylib" : "so";
    writeFileSync(join(folder, `pyramidkv-kernels.${damaged}`), "no library");
    expect(loadKernelLibrary(folder)).toMatch(/does not load/);
  });

  it.each([
    ["nowhere/cc", "no C compiler was found when pyramidkv was installed"],
    ["false", /^the C compiler failed when pyramidkv was installed: /],
  ])("is not built with the compiler %s, which breaks nothing and is told", (CC, why) => {
    const out = join(folder, CC.replace("/", "-"));
    const output = execFileSync(process.execPath, ["native/build.mjs", out], {
      env: { ...process.env, CC },
    });
    expect(output.toString()).toBe("");
    expect(loadKernelLibrary(out)).toMatch(why);
    expect(readFileSync(join(out, "why-not.txt"), "utf8")).not.toContain("\n");
  });
});

describe("the choice", () => {
  it("is the best variant that runs, unless told otherwise", () => {
    expect(chooseKernels("auto").variant).toBe(running[0]);
    expect(chooseKernels("ggml")).toEqual({ reason: "asked for" });
    for (const variant of running) expect(chooseKernels(variant.name).variant).toBe(variant);
  });

  it("of an unknown name lists the names, of one that does not run here those that do", () => {
    expect(() => chooseKernels("avx1024")).toThrow(/avx1024.*auto, ggml, avx2/);
    const foreign = process.arch === "x64" ? "neon" : "avx2";
    expect(() => chooseKernels(foreign)).toThrow(`available: ggml, ${running[0]?.name}`);
  });
});

/** ggml configures AMX tiles once a thread; an operation that left its own behind would spoil all that follow. */
describe.each(running)("after operations of $name", (variant) => {
  it("ggml's own matmul is still right", async () => {
    using plain = new Device({ threads: 2 });
    using own = new Device({ threads: 2, kernels: variant });
    const [k, m, n] = [256, 64, 32];
    const type = TYPES.q8_0;
    const spec = { type, shape: [k, m] };
    using weights = (plain.weightMemory(spec) as WeightMemory).allocate([spec]);
    using plainWeights = own.allocate([spec]);
    const bytes = plainWeights.view(0).fill(0x11);
    writeTensor(weights.tensors[0] as Tensor, bytes.slice());
    const x = Float32Array.from({ length: k * n }, (_, i) => Math.sin(i));
    const product = async (on: Device): Promise<Float32Array> => {
      let result = new Float32Array();
      for (let repeat = 0; repeat < 3; repeat++) {
        result = await on.run((g) => {
          const input = g.constant(TYPES.f32, [k, n], x);
          const w = plainWeights.tensors[0] as Tensor;
          const node = { x: input, weights: [w], biases: [], gated: false };
          if (on === own) g.expand(own.operations.linear(g, node).parts[0] as Tensor);
          const y = g.output(g.mulMat(weights.tensors[0] as Tensor, input));
          return () => readTensor(y, new Float32Array(m * n));
        });
      }
      return result;
    };
    expect(await product(own)).toEqual(await product(plain));
  });
});

/** Largest error of a result over the root mean square of all, by the number of columns. */
const LIMITS = [
  { columns: 8, bytes: 1e-3 },
  { columns: 37, bytes: 1e-3 },
  { columns: 120, bytes: 1e-3 },
  { columns: 136, bytes: 0.05 },
] as const;

describe.each(running.filter((v) => v.precision === "int8"))("$name", (variant) => {
  it.each(LIMITS)("rounds $columns columns no more than that", async ({ columns, bytes }) => {
    using device = new Device({ threads: 1, kernels: variant });
    const [k, m] = [256, 48];
    const type = TYPES.q8_0;
    using buffer = device.allocate([{ type, shape: [k, m] }]);
    const weights = buffer.tensors[0] as Tensor;
    // Blocks of 34 bytes: a scale of 1 as a half, and 32 codes.
    const codes = Int8Array.from({ length: k * m }, (_, i) => ((i * 37) % 255) - 127);
    const data = new Uint8Array((k * m * 34) / 32);
    for (let b = 0; b < (k * m) / 32; b++) {
      data.set([0x00, 0x3c], b * 34);
      data.set(new Uint8Array(codes.buffer, b * 32, 32), b * 34 + 2);
    }
    writeTensor(weights, data);
    const x = Float32Array.from({ length: k * columns }, (_, i) => Math.sin(i * i));
    const got = await device.run((g) => {
      const input = g.constant(TYPES.f32, [k, columns], x);
      const y = g.output(
        device.operations.linear(g, { x: input, weights: [weights], biases: [], gated: false })
          .parts[0] as Tensor,
      );
      return () => readTensor(y, new Float32Array(m * columns));
    });
    let [worst, squares] = [0, 0];
    for (let j = 0; j < columns; j++) {
      for (let i = 0; i < m; i++) {
        let sum = 0;
        for (let e = 0; e < k; e++) sum += (codes[i * k + e] as number) * (x[j * k + e] as number);
        worst = Math.max(worst, Math.abs(sum - (got[j * m + i] as number)));
        squares += sum * sum;
      }
    }
    const error = worst / Math.sqrt(squares / (m * columns));
    expect(error).toBeLessThan(bytes);
    // The measure tells the two apart.
    if (columns > 128) expect(error).toBeGreaterThan(1e-3);
  });
});
