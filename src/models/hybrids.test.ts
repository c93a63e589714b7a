import { describe, expect, it } from "vitest";
import { FAMILY_CASES } from "../../test/helpers/families.ts";
import { buildGguf, type GgufInput } from "../../test/helpers/gguf-writer.ts";
import { randomTokens, TestFolder, tinyModel } from "../../test/helpers/tiny-model.ts";
import { Engine } from "../engine/engine.ts";
import { TYPES } from "../ggml/types.ts";

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
