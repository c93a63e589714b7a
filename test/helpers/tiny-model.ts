import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TYPES } from "../../src/ggml/types.ts";
import { buildGguf, type GgufInput, type TensorInput } from "./gguf-writer.ts";
import { normals, seededRandom } from "./random.ts";

/** A random-weight llama model small enough to load in milliseconds. */
export interface TinyOptions {
  readonly nLayer?: number;
  readonly nEmbd?: number;
  readonly nHead?: number;
  readonly nHeadKv?: number;
  readonly headDim?: number;
  readonly nFf?: number;
  readonly nCtx?: number;
  readonly nExpert?: number;
  readonly nExpertUsed?: number;
  readonly biases?: boolean;
  readonly untied?: boolean;
  readonly ropeFactors?: boolean;
  readonly ropeScaling?: "linear" | "yarn";
  /** Type of the weight matrices. */
  readonly weights?: "f32" | "q8_0";
  /** A byte-level vocabulary with a chat template, or keys of one; otherwise the file has none. */
  readonly vocabulary?: boolean | Readonly<Record<string, GgufInput>>;
  readonly seed?: number;
}

const N_VOCAB = 320;

export interface TinyModel {
  readonly metadata: Record<string, GgufInput>;
  readonly tensors: TensorInput[];
}

export function tinyModel(o: TinyOptions = {}): TinyModel {
  const { nLayer = 3, nEmbd = 64, nHead = 4, nHeadKv = 2, nFf = 96, nCtx = 2048 } = o;
  const headDim = o.headDim ?? nEmbd / nHead;
  const { nExpert = 0, nExpertUsed = 0, weights = "f32" } = o;
  const random = seededRandom(o.seed ?? 1);
  const tensors: TensorInput[] = [];
  const matrix = (name: string, ...shape: number[]) => {
    const values = normals(product(shape), 1 / Math.sqrt(shape[0] ?? 1), random);
    const data = weights === "q8_0" ? quantizeQ8(values) : bytesOf(values);
    tensors.push({ name, shape, type: TYPES[weights].id, data });
  };
  const vector = (name: string, n: number, mean: number) => {
    const values = normals(n, 0.1, random).map((x) => x + mean);
    tensors.push({ name, shape: [n], type: TYPES.f32.id, data: bytesOf(values) });
  };

  matrix("token_embd.weight", nEmbd, N_VOCAB);
  vector("output_norm.weight", nEmbd, 1);
  if (o.untied === true) matrix("output.weight", nEmbd, N_VOCAB);
  if (o.ropeFactors === true) vector("rope_freqs.weight", headDim / 2, 2);
  for (let il = 0; il < nLayer; il++) {
    const name = (part: string) => `blk.${il}.${part}`;
    vector(name("attn_norm.weight"), nEmbd, 1);
    for (const [part, n] of [
      ["q", nHead],
      ["k", nHeadKv],
      ["v", nHeadKv],
    ] as const) {
      matrix(name(`attn_${part}.weight`), nEmbd, n * headDim);
      if (o.biases === true) vector(name(`attn_${part}.bias`), n * headDim, 0);
    }
    matrix(name("attn_output.weight"), nHead * headDim, nEmbd);
    if (o.biases === true) vector(name("attn_output.bias"), nEmbd, 0);
    vector(name("ffn_norm.weight"), nEmbd, 1);
    if (nExpert > 0) {
      matrix(name("ffn_gate_inp.weight"), nEmbd, nExpert);
      matrix(name("ffn_gate_exps.weight"), nEmbd, nFf, nExpert);
      matrix(name("ffn_up_exps.weight"), nEmbd, nFf, nExpert);
      matrix(name("ffn_down_exps.weight"), nFf, nEmbd, nExpert);
    } else {
      matrix(name("ffn_gate.weight"), nEmbd, nFf);
      matrix(name("ffn_up.weight"), nEmbd, nFf);
      matrix(name("ffn_down.weight"), nFf, nEmbd);
      if (o.biases === true) {
        vector(name("ffn_gate.bias"), nFf, 0);
        vector(name("ffn_up.bias"), nFf, 0);
        vector(name("ffn_down.bias"), nEmbd, 0);
      }
    }
  }

  const u32 = (value: number): GgufInput => ({ type: "u32", value });
  const f32 = (value: number): GgufInput => ({ type: "f32", value });
  const text = (value: string): GgufInput => ({ type: "string", value });
  const metadata: Record<string, GgufInput> = {
    "general.architecture": text("llama"),
    "general.name": text("tiny"),
    "llama.block_count": u32(nLayer),
    "llama.context_length": u32(nCtx),
    "llama.embedding_length": u32(nEmbd),
    "llama.feed_forward_length": u32(nFf),
    "llama.attention.head_count": u32(nHead),
    "llama.attention.head_count_kv": u32(nHeadKv),
    "llama.attention.key_length": u32(headDim),
    "llama.attention.value_length": u32(headDim),
    "llama.rope.dimension_count": u32(headDim),
    "llama.attention.layer_norm_rms_epsilon": f32(1e-5),
    "llama.rope.freq_base": f32(10_000),
    "llama.vocab_size": u32(N_VOCAB),
    ...(nExpert > 0
      ? { "llama.expert_count": u32(nExpert), "llama.expert_used_count": u32(nExpertUsed) }
      : {}),
    ...(o.ropeScaling === undefined
      ? {}
      : {
          "llama.rope.scaling.type": text(o.ropeScaling),
          "llama.rope.scaling.factor": f32(4),
          "llama.rope.scaling.original_context_length": u32(512),
        }),
    ...vocabularyKeys(o.vocabulary),
  };
  return { metadata, tensors };
}

/** A folder for a test's files, removed with it. */
export class TestFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "pyramidkv-test-"));

  file(name: string, content: Uint8Array | string): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }

  tiny(options: TinyOptions = {}, name = "tiny.gguf"): string {
    const { metadata, tensors } = tinyModel(options);
    return this.file(name, buildGguf(metadata, tensors));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Tokens that any tiny model knows, the same for the same seed. */
export function randomTokens(n: number, seed = 7): Int32Array {
  const random = seededRandom(seed);
  return Int32Array.from({ length: n }, () => 3 + Math.floor(random() * (N_VOCAB - 3)));
}

function vocabularyKeys(of: TinyOptions["vocabulary"]): Readonly<Record<string, GgufInput>> {
  if (typeof of === "object") return of;
  if (of === true) return byteVocabulary();
  return { "tokenizer.ggml.model": { type: "string", value: "no_vocab" } };
}

/** SentencePiece-style: every byte is a token, so any text can be encoded. */
function byteVocabulary(): Record<string, GgufInput> {
  const bytes = Array.from(
    { length: 256 },
    (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
  const words = ["\u2581", ...Array.from({ length: N_VOCAB - 260 }, (_, i) => `\u2581w${i}`)];
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...words];
  const types = [2, 3, 3, ...bytes.map(() => 6), ...words.map(() => 1)];
  return {
    "tokenizer.ggml.model": { type: "string", value: "llama" },
    "tokenizer.ggml.tokens": { type: "strings", value: tokens },
    "tokenizer.ggml.scores": { type: "f32s", value: tokens.map((_, i) => -i) },
    "tokenizer.ggml.token_type": { type: "i32s", value: types },
    "tokenizer.ggml.bos_token_id": { type: "u32", value: 1 },
    "tokenizer.ggml.eos_token_id": { type: "u32", value: 2 },
    "tokenizer.ggml.unknown_token_id": { type: "u32", value: 0 },
    "tokenizer.ggml.add_bos_token": { type: "bool", value: true },
    "tokenizer.chat_template": {
      type: "string",
      value:
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    },
  };
}

/** q8_0: blocks of 32 values, a f16 scale and 32 bytes. */
function quantizeQ8(values: Float32Array): Uint8Array {
  const out = new DataView(new ArrayBuffer((values.length / 32) * 34));
  for (let b = 0; b * 32 < values.length; b++) {
    const block = values.subarray(b * 32, b * 32 + 32);
    const max = block.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
    const scale = 2 ** Math.ceil(Math.log2(max / 127)); // a power of two is exact in f16
    out.setUint16(b * 34, (Math.log2(scale) + 15) << 10, true);
    block.forEach((x, i) => out.setInt8(b * 34 + 2 + i, Math.round(x / scale)));
  }
  return new Uint8Array(out.buffer);
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function product(values: readonly number[]): number {
  return values.reduce((a, b) => a * b, 1);
}
