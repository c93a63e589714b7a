import { describe, expect, it } from "vitest";
import { DEFAULT_KV_SIZE, DEFAULT_METHOD } from "./defaults.ts";
import { METHODS, type MethodName } from "./methods.ts";
import { PRESETS } from "./presets.ts";
import { effectiveOptions, resolveCompression } from "./resolve.ts";

describe("resolveCompression", () => {
  it("takes what is done unasked from one place, and the paper's values for the rest", () => {
    const { method, options } = resolveCompression();
    expect(method.name).toBe(DEFAULT_METHOD);
    expect(options.kvSize).toBe(DEFAULT_KV_SIZE);
    const paper = resolveCompression({ method: "pyramidkv", kvSize: 128 });
    expect(paper.options).toMatchObject({ alpha: 8, window: 8, beta: 20, kernel: 7 });
  });

  it("lets a given option win over its preset", () => {
    const { options } = resolveCompression({
      method: "pyramidkv",
      preset: "class-defaults",
      window: 16,
    });
    expect(options).toMatchObject({ window: 16, alpha: 64, pool: "avg", kernel: 5 });
  });

  it.each([
    [{ method: "pyramid" }, /unknown method "pyramid"; known: full, random, streaming-llm/],
    [{ preset: "best" }, /unknown preset "best"; known: paper/],
    [{ kvSize: 0 }, /kvSize must be an integer of at least 1, got 0/],
    [{ kvSize: -5 }, /got -5/],
    [{ kvSize: 12.5 }, /got 12.5/],
    [{ kvSize: NaN }, /got NaN/],
    [{ kvSize: 8 }, /kvSize must be larger than window \(8\)/],
    [{ method: "streaming-llm", kvSize: 4 }, /kvSize must be larger than sinks \(4\)/],
    [{ kernel: 4 }, /kernel must be odd, got 4/],
    [{ beta: 0.5 }, /beta must be a number of at least 1, got 0.5/],
    [{ alpha: 0 }, /alpha must be an integer of at least 1, got 0/],
    [{ pool: "min" }, /unknown pool "min"; known: avg, max/],
    [{ gqa: "sum" }, /unknown gqa "sum"; known: mean, max/],
  ])("refuses %o", (options, message) => {
    expect(() => resolveCompression(options)).toThrow(message);
  });

  it("names options that have no effect on the method", () => {
    const { unused } = resolveCompression({ method: "snapkv", beta: 5, alpha: 16 });
    expect(unused).toEqual(["beta"]);
  });

  it.each(Object.keys(METHODS) as MethodName[])("records every effective option of %s", (name) => {
    const compression = resolveCompression({ method: name });
    expect(Object.keys(effectiveOptions(compression)).sort()).toEqual(
      [...METHODS[name].options].sort(),
    );
    expect(METHODS[name].name).toBe(name);
  });

  it("has a retained window below the default size in every preset", () => {
    for (const preset of Object.keys(PRESETS)) expect(resolveCompression({ preset })).toBeDefined();
  });
});
