import { describe, expect, it } from "vitest";
import { native } from "./native.ts";
import { findLibraries, PLATFORMS } from "./platform.ts";
import { rowBytes, TYPES } from "./types.ts";

describe("TYPES", () => {
  it.each(Object.values(TYPES))(
    "$name has the library's own sizes",
    ({ id, blockSize, blockBytes }) => {
      const { ggml } = native();
      expect(ggml.blockSize(id)).toBe(blockSize);
      expect(ggml.typeSize(id)).toBe(blockBytes);
    },
  );

  it("counts the bytes of a row", () => {
    expect(rowBytes(TYPES.q4_0, 64)).toBe(36);
  });
});

describe("findLibraries", () => {
  it("names what is supported on a platform that is not", () => {
    expect(() => findLibraries("sunos-x64")).toThrow(
      new RegExp(`no prebuilt ggml for sunos-x64; supported: ${Object.keys(PLATFORMS).join(", ")}`),
    );
  });

  it("says which package to install where it is missing", () => {
    expect(() => findLibraries("win32-arm64")).toThrow(
      /@node-llama-cpp\/win-arm64 is not installed .*npm install @node-llama-cpp\/win-arm64@3\.22\.1/,
    );
  });
});

it("relies on the tensor struct of the pinned ggml", () => {
  expect(native().ggml.tensorOverhead()).toBe(368);
});
