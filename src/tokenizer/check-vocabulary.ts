import { PyramidKVError } from "../errors.ts";
import { required, type Metadata } from "../gguf/metadata.ts";
import { visitStrings } from "../gguf/value.ts";

/** The tokenizers whose vocabulary we can vouch for: libllama aborts the process on a bad one. */
const KNOWN_MODELS = ["llama", "gpt2", "no_vocab"];

const TOKENS = "tokenizer.ggml.tokens";

/**
 * Checks what libllama asserts or trusts about a vocabulary, before libllama sees the file.
 *
 * @returns whether the file has a vocabulary at all (`no_vocab` has none)
 * @throws `BAD_FILE` or `UNSUPPORTED` that names the key and its value
 */
export function checkVocabulary(metadata: Metadata): boolean {
  const key = "tokenizer.ggml.model";
  const model = required(metadata.string(key), key);
  if (!KNOWN_MODELS.includes(model)) {
    const known = KNOWN_MODELS.join(", ");
    throw new PyramidKVError("UNSUPPORTED", `${key} is "${model}"; known: ${known}`);
  }
  if (model === "no_vocab") return false;

  const n = checkTokens(metadata, model);
  checkArray(metadata, "tokenizer.ggml.scores", ["f32", "i32"], n);
  checkArray(metadata, "tokenizer.ggml.token_type", ["i32"], n);
  if (model === "gpt2") required(metadata.array("tokenizer.ggml.merges"), "tokenizer.ggml.merges");
  checkArray(metadata, "tokenizer.ggml.merges", ["string"], 0);
  for (const [name, entry] of metadata.entries) {
    if (/^tokenizer\.ggml\.\w+_token_id$/.test(name) && entry.type !== "array") {
      metadata.integer(name, 0, n - 1);
    }
    if (/^tokenizer\.ggml\.(add_|remove_extra)/.test(name)) metadata.boolean(name);
  }
  metadata.string("tokenizer.ggml.pre");
  metadata.string("tokenizer.chat_template");
  return true;
}

function checkTokens(metadata: Metadata, model: string): number {
  const tokens = required(metadata.array(TOKENS), TOKENS);
  if (tokens.elementType !== "string" || tokens.length === 0) {
    throw new PyramidKVError("BAD_FILE", `${TOKENS} holds no strings`);
  }
  const seen = new Set<string>();
  visitStrings(tokens, (bytes, start, end, i) => {
    // latin1 is a fast one-to-one picture of the bytes; empty tokens get unique names in libllama.
    const text = start === end ? `[EMPTY_${i}]` : bytes.toString("latin1", start, end);
    if (seen.has(text)) {
      throw new PyramidKVError("BAD_FILE", `${TOKENS}[${i}] repeats the token "${text}"`);
    }
    seen.add(text);
  });
  if (model === "llama") {
    for (let byte = 0; byte < 256; byte++) {
      const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
      if (!seen.has(name) && !seen.has(String.fromCharCode(byte))) {
        throw new PyramidKVError("BAD_FILE", `${TOKENS} has no byte token ${name}`);
      }
    }
  }
  return tokens.length;
}

function checkArray(metadata: Metadata, key: string, types: string[], minLength: number): void {
  const array = metadata.array(key);
  if (array === undefined) return;
  if (!types.includes(array.elementType) || array.length < minLength) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${key} has ${array.length} elements of ${array.elementType}; ${minLength} or more of ${types.join(" or ")} were expected`,
    );
  }
}
