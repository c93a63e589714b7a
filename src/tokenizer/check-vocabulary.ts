import { PyramidKVError } from "../errors.ts";
import { required, type Metadata } from "../gguf/metadata.ts";
import { visitStrings } from "../gguf/value.ts";

/** The tokenizers whose vocabulary we can vouch for: libllama aborts the process on a bad one. */
const KNOWN_MODELS = ["llama", "gpt2", "gemma4", "no_vocab"];

const TOKENS = "tokenizer.ggml.tokens";

const [BOS_ID, EOS_ID] = ["tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"];
export const PRE_TOKENIZER = "tokenizer.ggml.pre";

/** What a file says of its vocabulary that libllama does not. */
export interface VocabularyFacts {
  /** Whether a space is put before text at the beginning and behind special tokens: SentencePiece's habit. */
  readonly prefixesSpace: boolean;
  /** The file's tokens of the beginning and the end; libllama has numbers of its own where there are none. */
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** What is read with a default that may be wrong, in sentences. */
  readonly warnings: readonly string[];
}

/**
 * Checks what libllama asserts or trusts about a vocabulary, before libllama sees the file.
 *
 * @returns undefined where the file has no vocabulary (`no_vocab`)
 * @throws `BAD_FILE` or `UNSUPPORTED` that names the key and its value
 */
export function checkVocabulary(metadata: Metadata): VocabularyFacts | undefined {
  const key = "tokenizer.ggml.model";
  const model = required(metadata.string(key), key);
  if (!KNOWN_MODELS.includes(model)) {
    const names = KNOWN_MODELS.join(", ");
    throw new PyramidKVError("UNSUPPORTED", `${key} is "${model}"; known: ${names}`);
  }
  if (model === "no_vocab") return undefined;

  metadata.requireType("general.file_type", "u32");
  const n = checkTokens(metadata, model);
  checkArray(metadata, "tokenizer.ggml.scores", ["f32", "i32"], n);
  checkArray(metadata, "tokenizer.ggml.token_type", ["i32"], n);
  checkArray(metadata, "tokenizer.ggml.suppress_tokens", ["i32"], 0);
  if (model !== "llama") required(metadata.array("tokenizer.ggml.merges"), "tokenizer.ggml.merges");
  checkArray(metadata, "tokenizer.ggml.merges", ["string"], 0);
  for (const name of metadata.entries.keys()) {
    if (/^tokenizer\.ggml\.\w+_token_id$/.test(name)) {
      metadata.requireType(name, "u32");
      metadata.integer(name, 0, n - 1);
    }
    if (/^tokenizer\.ggml\.(add_|remove_extra)/.test(name)) metadata.boolean(name);
  }
  metadata.string("tokenizer.chat_template");
  const isSentencePiece = model === "llama";
  return {
    prefixesSpace: metadata.boolean("tokenizer.ggml.add_space_prefix") ?? isSentencePiece,
    bos: metadata.integer(BOS_ID, 0, n - 1) ?? (isSentencePiece ? 1 : undefined),
    eos: metadata.integer(EOS_ID, 0, n - 1) ?? (isSentencePiece ? 2 : undefined),
    warnings: preTokenizerWarnings(metadata, model),
  };
}

function preTokenizerWarnings(metadata: Metadata, model: string): string[] {
  if (metadata.string(PRE_TOKENIZER) !== undefined || model !== "gpt2") return [];
  return [
    `the file has no ${PRE_TOKENIZER}: text is split by a default that may not be the model's; take a newer conversion`,
  ];
}

/** Throws `BAD_FILE` where texts begin or end with a token that the file does not name. */
export function requireNamed(
  { bos, eos }: VocabularyFacts,
  added: { readonly bos: boolean; readonly eos: boolean },
): void {
  const missing =
    added.bos && bos === undefined
      ? (["add_bos_token", BOS_ID] as const)
      : added.eos && eos === undefined
        ? (["add_eos_token", EOS_ID] as const)
        : undefined;
  if (missing === undefined) return;
  const [adds, id] = missing;
  throw new PyramidKVError(
    "BAD_FILE",
    `texts get a token by tokenizer.ggml.${adds} or by the kind of tokenizer, but the file has no ${id}`,
  );
}

function checkTokens(metadata: Metadata, model: string): number {
  const tokens = required(metadata.array(TOKENS), TOKENS);
  if (tokens.elementType !== "string" || tokens.length === 0) {
    throw new PyramidKVError("BAD_FILE", `${TOKENS} holds no strings`);
  }
  const keys = new Set<string>();
  visitStrings(tokens, (bytes, start, end, i) => {
    // latin1 is a fast one-to-one picture of the bytes; empty tokens get unique names in libllama.
    const text = start === end ? `[EMPTY_${i}]` : bytes.toString("latin1", start, end);
    if (keys.has(text)) {
      throw new PyramidKVError("BAD_FILE", `${TOKENS}[${i}] repeats the token "${text}"`);
    }
    keys.add(text);
  });
  // What no other token spells is spelt in bytes, but in GPT-2's vocabularies, whose letters stand for bytes.
  if (model !== "gpt2") {
    for (let byte = 0; byte < 256; byte++) {
      const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
      if (!keys.has(name) && !keys.has(String.fromCharCode(byte))) {
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
