import { describe, expect, it } from "vitest";
import { buildGguf, type GgufInput, type TensorInput } from "../../test/helpers/gguf-writer.ts";
import { TestFolder, tinyModel, type TinyModel } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";

const u32 = (value: number): GgufInput => ({ type: "u32", value });
const text = (value: string): GgufInput => ({ type: "string", value });
const zeros = (n: number) => new Uint8Array(n * 4);

function changed(name: string, change: Partial<TensorInput>): (m: TinyModel) => void {
  return ({ tensors }) => {
    const at = tensors.findIndex((t) => t.name === name);
    tensors[at] = { ...(tensors[at] as TensorInput), ...change };
  };
}

const meta =
  (key: string, value: GgufInput) =>
  ({ metadata }: TinyModel) => {
    metadata[key] = value;
  };

describe("a file that is not what its architecture needs", () => {
  it.each<[string, (m: TinyModel) => void, RegExp]>([
    [
      "a missing tensor",
      ({ tensors }) => tensors.splice(4, 1),
      /the tensor blk.0.attn_k.weight is missing/,
    ],
    [
      "a misshaped tensor",
      changed("blk.0.attn_k.weight", { shape: [64, 31], data: zeros(64 * 31) }),
      /blk.0.attn_k.weight has the shape \[64, 31\], \[64, 32\] was expected/,
    ],
    [
      "a norm that is no f32",
      changed("output_norm.weight", { type: 1, data: new Uint8Array(128) }),
      /output_norm.weight is of type f16, f32 was expected/,
    ],
    [
      "weights that are no weights",
      changed("blk.0.attn_q.weight", { type: 26 }),
      /blk.0.attn_q.weight is of type i32, a weight type was expected/,
    ],
    [
      "a tensor too many",
      ({ tensors }) => tensors.push({ name: "blk.0.extra", shape: [4], type: 0, data: zeros(4) }),
      /has no tensor blk.0.extra/,
    ],
    [
      "an unknown architecture",
      meta("general.architecture", text("gpt9")),
      /unknown architecture "gpt9"; known: llama/,
    ],
    ["no layers", meta("llama.block_count", u32(0)), /llama.block_count is 0, not 1 to 512/],
    [
      "heads that do not divide",
      meta("llama.attention.head_count_kv", u32(3)),
      /4 query heads cannot share 3 kv heads/,
    ],
    [
      "an odd head size",
      meta("llama.attention.key_length", u32(15)),
      /keys of 15 and values of 16/,
    ],
    [
      "a number that is text",
      meta("llama.embedding_length", text("64")),
      /llama.embedding_length is of type string/,
    ],
    [
      "unknown RoPE scaling",
      meta("llama.rope.scaling.type", text("dynamic")),
      /rope scaling "dynamic"/,
    ],
    [
      "a part of a model",
      meta("split.count", { type: "u16", value: 3 }),
      /it is one of 3 parts \(split.count\), whose names end with -00001-of-00003.gguf/,
    ],
    ["parts of another type", meta("split.count", u32(1)), /split.count is of type u32, u16 was/],
    ["experts that are not there", meta("llama.expert_used_count", u32(2)), /2 of 0 experts/],
  ])("%s is refused in one line", async (_, change, message) => {
    using folder = new TestFolder();
    const model = tinyModel();
    change(model);
    const path = folder.file("bad.gguf", buildGguf(model.metadata, model.tensors));
    const load = Engine.load({ model: path, threads: 1 });
    await expect(load).rejects.toThrow(message);
    await expect(load).rejects.toThrow(path);
  });
});

it("says that a sliding window is not applied", async () => {
  using folder = new TestFolder();
  const model = tinyModel();
  model.metadata["llama.attention.sliding_window"] = u32(512);
  const path = folder.file("window.gguf", buildGguf(model.metadata, model.tensors));
  const warnings: string[] = [];
  const onWarning = (text: string) => warnings.push(text);
  await using _engine = await Engine.load({ model: path, threads: 1, onWarning });
  expect(warnings.join()).toMatch(/sliding_window.*512/);
});
