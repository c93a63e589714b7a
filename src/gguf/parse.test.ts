import { describe, expect, it } from "vitest";
import { buildGguf, type GgufInput } from "../../test/helpers/gguf-writer.ts";
import { TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { openGguf } from "./file.ts";
import { parseHeader } from "./parse.ts";
import { arrayNumbers, visitStrings } from "./value.ts";

const parse = (bytes: Uint8Array) => parseHeader(bytes, bytes.length);
const f32 = (n: number) => new Uint8Array(n * 4);

describe("parseHeader", () => {
  it("reads what the writer wrote", () => {
    const { metadata, tensors } = tinyModel({ vocabulary: true });
    const header = parse(buildGguf(metadata, tensors));
    expect(header.metadata.string("general.architecture")).toBe("llama");
    expect(header.metadata.integer("llama.block_count", 1, 99)).toBe(3);
    expect(header.metadata.number("llama.attention.layer_norm_rms_epsilon")).toBeCloseTo(1e-5, 9);
    expect(header.metadata.boolean("tokenizer.ggml.add_bos_token")).toBe(true);
    const tokens = header.metadata.array("tokenizer.ggml.tokens");
    const texts: string[] = [];
    if (tokens !== undefined) {
      visitStrings(tokens, (bytes, start, end, i) => {
        texts.push(bytes.toString("utf8", start, end));
        return i < 3;
      });
    }
    expect(texts).toEqual(["<unk>", "<s>", "</s>", "<0x00>"]);
    const scores = header.metadata.array("tokenizer.ggml.scores");
    expect(scores && arrayNumbers(scores, "scores").slice(0, 3)).toEqual([-0, -1, -2]);
    expect(header.tensors.size).toBe(tensors.length);
    expect(header.tensors.get("token_embd.weight")?.shape).toEqual([64, 320]);
  });

  const tensor = { name: "t", shape: [4], type: 0, data: f32(4) };
  const text = (value: string): GgufInput => ({ type: "string", value });

  it.each([
    ["another format", Buffer.from("PK\u0003\u0004 not a gguf file"), /does not begin with "GGUF"/],
    ["version 1", patched((v) => v.setUint32(4, 1, true)), /GGUF version 1; versions 2 and 3/],
    [
      "too many tensors",
      patched((v) => v.setBigUint64(8, 2n ** 40n, true)),
      /number of tensors is/,
    ],
    ["too many keys", patched((v) => v.setBigUint64(16, 2n ** 63n, true)), /number of keys is/],
    ["an unknown type", buildGguf({}, [{ ...tensor, type: 99 }]), /unknown tensor type 99/],
    ["an empty shape", buildGguf({}, [{ ...tensor, shape: [0] }]), /has 0 elements/],
    ["five dimensions", buildGguf({}, [{ ...tensor, shape: [1, 1, 1, 1, 1] }]), /5 dimensions/],
    ["a short row", buildGguf({}, [{ ...tensor, type: 8 }]), /needs a multiple of 32/],
    ["missing data", buildGguf({}, [{ ...tensor, shape: [64] }]), /is truncated: t ends at byte/],
    ["a tensor twice", buildGguf({}, [tensor, tensor]), /t occurs twice/],
    ["tensors out of order", swapped(), /tensors are out of order: b begins at 32, where 0 is due/],
    [
      "a bad alignment",
      buildGguf({ "general.alignment": { type: "u32", value: 48 } }, []),
      /not a power of two/,
    ],
    ["an invalid key", buildGguf({ "": text("x") }, []), /key 0 is empty/],
  ])("refuses %s", (_, bytes, message) => {
    expect(() => parse(new Uint8Array(bytes))).toThrow(message);
  });

  /** Two tensors whose offsets are exchanged. */
  function swapped(): Uint8Array {
    const both = ["b", "c"].map((name) => ({ ...tensor, name }));
    const bytes = Buffer.from(buildGguf({}, both));
    const [b, c] = [bytes.indexOf("b") + 1 + 4 + 8 + 4, bytes.indexOf("c") + 1 + 4 + 8 + 4];
    bytes.writeBigUInt64LE(32n, b);
    bytes.writeBigUInt64LE(0n, c);
    return bytes;
  }

  function patched(patch: (view: DataView) => void): Uint8Array {
    const bytes = buildGguf({ "general.name": { type: "string", value: "x" } }, []);
    patch(new DataView(bytes.buffer, bytes.byteOffset));
    return bytes;
  }

  it("refuses every truncation", () => {
    const { metadata, tensors } = tinyModel({ nLayer: 1 });
    const whole = buildGguf(metadata, tensors);
    for (let length = 0; length < whole.length; length += 97) {
      expect(() => parse(whole.subarray(0, length))).toThrow(/truncated|begin/);
    }
  });
});

describe("openGguf", () => {
  it.each([
    ["/no/such/file.gguf", /no such file/],
    ["/", /directory/],
  ])("refuses %s", async (path, message) => {
    await expect(openGguf(path)).rejects.toThrow(message);
  });

  it("refuses an empty file", async () => {
    using own = new TestFolder();
    await expect(openGguf(own.file("empty.gguf", ""))).rejects.toThrow(/the file is empty/);
  });

  it("reads a header that is larger than the first read", async () => {
    using own = new TestFolder();
    const long = "x".repeat(9_000_000);
    const path = own.file(
      "long.gguf",
      buildGguf({ "general.name": { type: "string", value: long } }, []),
    );
    await using file = await openGguf(path);
    expect(file.metadata.string("general.name")).toHaveLength(9_000_000);
  });
});
