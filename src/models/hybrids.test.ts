import { describe, expect, it } from "vitest";
import { FAMILY_CASES } from "../../test/helpers/families.ts";
import { buildGguf, type GgufInput } from "../../test/helpers/gguf-writer.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { TYPES } from "../ggml/types.ts";
import { openGguf } from "../gguf/file.ts";
import { fingerprint } from "./fingerprint.ts";

const u32 = (value: number): GgufInput => ({ type: "u32", value });
const i32s = (...value: number[]): GgufInput => ({ type: "i32s", value });

function optionsOf(family: string) {
  const [, { options }] = FAMILY_CASES.find(
    ([name]) => name === family,
  ) as (typeof FAMILY_CASES)[0];
  return options;
}

describe("a hybrid's file is refused that", () => {
  it.each([
    ["lfm2", { "attention.head_count_kv": i32s(0, 0, 0, 0, 0, 0) }, /head_count_kv/],
    ["lfm2", { "attention.head_count_kv": i32s(0, 2, 0) }, /has 3 entries for 6 layers/],
    ["lfm2", { "attention.head_count_kv": i32s(0, 2, 1, 2, 0, 2) }, /differs between layers/],
    ["lfm2", { "shortconv.l_cache": u32(1) }, /shortconv\.l_cache is 1/],
    ["qwen35", { "ssm.inner_size": u32(96) }, /an inner size of 96 .* do not go together/],
    ["qwen35", { "ssm.group_count": u32(3) }, /3 key heads do not go together/],
    ["qwen35", { "ssm.conv_kernel": u32(0) }, /ssm\.conv_kernel is 0/],
    ["qwen35", { "rope.dimension_sections": i32s(1, 1, 0, 2) }, /belong to no place of a text/],
    ["qwen35", { full_attention_interval: u32(9) }, /none of its layers has attention/],
    ["qwen35", { nextn_predict_layers: u32(5) }, /nextn_predict_layers is 5/],
    ["gemma4", { "attention.shared_kv_layers": u32(9) }, /shared_kv_layers is 9/],
    ["gemma4", { "attention.shared_kv_layers": u32(7) }, /no layer of its kind before it has any/],
    ["gemma4", { "attention.head_count_kv": i32s(2, 2, 1) }, /has 3 entries for 9 layers/],
    ["gemma4", { feed_forward_length: i32s(96, 0, 1, 1, 1, 1, 1, 1, 1) }, /is 0 in one layer/],
    ["gemma4", { "attention.head_count_kv": i32s(2, 2, 1, 2, 1, 2, 2, 2, 2) }, /layer 4, whose/],
    ["gemma4", { "attention.head_count": i32s(4, 3, 4, 4, 4, 4, 4, 4, 4) }, /3 query heads of/],
    ["gemma4", { "attention.key_length_swa": u32(15) }, /keys of 15 and values of 16/],
    ["gemma4", { "rope.dimension_count_swa": u32(15) }, /dimension_count_swa is 15/],
    ["gemma4", { expert_count: u32(4), expert_used_count: u32(2) }, /not run with experts/],
  ] as const)("%s with %o", async (family, keys, message) => {
    using folder = new TestFolder();
    const { metadata, tensors } = tinyModel(optionsOf(family));
    const changed = Object.entries<GgufInput>(keys).map(
      ([key, value]) => [`${family}.${key}`, value] as const,
    );
    const file = buildGguf({ ...metadata, ...Object.fromEntries(changed) }, tensors);
    const model = folder.file("model.gguf", file);
    await expect(Engine.load({ model, threads: 1 })).rejects.toThrow(message);
  });
});

it("keys and values that layers have without need are left alone", async () => {
  using folder = new TestFolder();
  const { metadata, tensors } = tinyModel(optionsOf("gemma4"));
  const unused = tensors
    .filter(({ name }) => /^blk\.3\.attn_(k|v|k_norm)\./.test(name))
    .map((tensor) => ({ ...tensor, name: tensor.name.replace("blk.3", "blk.5") }));
  expect(unused).toHaveLength(3);
  const model = folder.file("more.gguf", buildGguf(metadata, [...tensors, ...unused]));
  await using engine = await Engine.load({ model, threads: 1 });
  expect(engine.model.nLayer).toBe(9);
});

it("a file's layers for further tokens are left alone", async () => {
  using folder = new TestFolder();
  const options = optionsOf("qwen35");
  const { metadata, tensors } = tinyModel(options);
  const further = ["attn_norm", "nextn.enorm"].map((part) => ({
    name: `blk.5.${part}.weight`,
    shape: [64],
    type: TYPES.f32.id,
    data: new Uint8Array(256),
  }));
  const keys = { "qwen35.block_count": u32(6), "qwen35.nextn_predict_layers": u32(1) };
  const paths = [
    folder.file("plain.gguf", buildGguf(metadata, tensors)),
    folder.file("more.gguf", buildGguf({ ...metadata, ...keys }, [...tensors, ...further])),
  ];
  const [plain, more] = await Promise.all(
    paths.map(async (model) => {
      await using engine = await Engine.load({ model, threads: 1 });
      using session = engine.createSession({ method: "full" });
      await session.prefill(randomTokens(20));
      return session.logits;
    }),
  );
  expect(more).toEqual(plain);
});

it("names models by the norm of their last layer's output, however files call it", async () => {
  using folder = new TestFolder();
  const names = await Promise.all(
    [1, 2].map(async (seed) => {
      const path = folder.tiny({ ...optionsOf("lfm2"), seed }, `${seed}.gguf`);
      await using file = await openGguf(path);
      return await fingerprint(file);
    }),
  );
  expect(names[0]).not.toBe(names[1]);
});
