import { describe, expect, it } from "vitest";
import { buildGguf, type GgufInput } from "../../test/helpers/gguf-writer.ts";
import { tinyModel } from "../../test/helpers/tiny-model.ts";
import { parseHeader } from "../gguf/parse.ts";
import { checkVocabulary } from "./check-vocabulary.ts";

function check(changes: Record<string, GgufInput | undefined>) {
  const metadata = { ...tinyModel({ vocabulary: true }).metadata, ...changes };
  const present = Object.entries(metadata).filter(([, value]) => value !== undefined);
  const bytes = buildGguf(Object.fromEntries(present) as Record<string, GgufInput>, []);
  return checkVocabulary(parseHeader(bytes, bytes.length).metadata);
}

const tokens = (value: string[]): GgufInput => ({ type: "strings", value });

describe("checkVocabulary", () => {
  it("accepts a sound vocabulary and a file without one", () => {
    expect(check({})).toMatchObject({ prefixesSpace: true, bos: 1, eos: 2, warnings: [] });
    const none = { type: "string", value: "no_vocab" } as const;
    expect(check({ "tokenizer.ggml.model": none })).toBe(undefined);
  });

  it.each([
    ["no model", { "tokenizer.ggml.model": undefined }, /has no tokenizer.ggml.model/],
    ["another model", { "tokenizer.ggml.model": { type: "string", value: "bert" } }, /is "bert"/],
    ["no tokens", { "tokenizer.ggml.tokens": tokens([]) }, /holds no strings/],
    [
      "a token twice",
      { "tokenizer.ggml.tokens": tokens(["a", "b", "a"]) },
      /repeats the token "a"/,
    ],
    ["missing bytes", { "tokenizer.ggml.tokens": tokens(["x"]) }, /has no byte token <0x00>/],
    ["short scores", { "tokenizer.ggml.scores": { type: "f32s", value: [1] } }, /has 1 elements/],
    ["wrong types", { "tokenizer.ggml.token_type": tokens(["x"]) }, /elements of string/],
    [
      "a beginning that is a list",
      { "tokenizer.ggml.bos_token_id": { type: "i32s", value: [1] } },
      /bos_token_id is of type array/,
    ],
    [
      "suppressed tokens of another type",
      { "tokenizer.ggml.suppress_tokens": tokens(["x"]) },
      /suppress_tokens has 1 elements of string/,
    ],
    [
      "an id of another type",
      { "tokenizer.ggml.eos_token_id": { type: "i32", value: 2 } },
      /eos_token_id is of type i32, u32 was expected/,
    ],
    [
      "a type of file that is text",
      { "general.file_type": { type: "string", value: "Q4" } },
      /file_type is of type string, u32 was expected/,
    ],
    ["a far token", { "tokenizer.ggml.bos_token_id": { type: "u32", value: 5000 } }, /is 5000/],
    [
      "BPE without merges",
      { "tokenizer.ggml.model": { type: "string", value: "gpt2" } },
      /has no tokenizer.ggml.merges/,
    ],
  ] satisfies [string, Record<string, GgufInput | undefined>, RegExp][])(
    "refuses %s",
    (_, changes, message) => {
      expect(() => check(changes)).toThrow(message);
    },
  );
});
