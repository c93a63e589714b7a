import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { native } from "../../src/ggml/native.ts";
import { rowBytes, TYPES, type TensorType } from "../../src/ggml/types.ts";
import type { Metadata } from "../../src/gguf/metadata.ts";
import { parseHeader } from "../../src/gguf/parse.ts";
import type { Architecture } from "../../src/models/architecture.ts";
import type { HyperParameters } from "../../src/models/hyper-parameters.ts";
import { llama } from "../../src/models/families/llama.ts";
import { buildGguf, type GgufInput, type TensorInput } from "./gguf-writer.ts";
import { normals, seededRandom } from "./random.ts";

/** A random-weight model small enough to load in milliseconds. */
export interface TinyOptions {
  /** Its family: what the file must hold follows from the family's own rules. Defaults to llama. */
  readonly architecture?: Architecture;
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
  /** Factors for short contexts and for long ones. */
  readonly longRopeFactors?: boolean;
  readonly ropeScaling?: "linear" | "yarn";
  /** Dimensions of a head that are rotated; all by default. */
  readonly ropeDims?: number;
  /** More of the family's own keys, without its name before them. */
  readonly keys?: Readonly<Record<string, GgufInput>>;
  /** Type of the weight matrices. */
  readonly weights?: keyof typeof TYPES;
  /** A byte-level vocabulary with a chat template, or keys of one; otherwise the file has none. */
  readonly vocabulary?: boolean | Readonly<Record<string, GgufInput>>;
  readonly seed?: number;
}

const N_VOCAB = 320;

export interface TinyModel {
  readonly metadata: Record<string, GgufInput>;
  readonly tensors: TensorInput[];
  readonly hp: HyperParameters;
}

export function tinyModel(o: TinyOptions = {}): TinyModel {
  const { architecture = llama, weights = "f32" } = o;
  const metadata = tinyMetadata(architecture.name, o);
  const hp = architecture.hyperParameters(parsed(metadata));
  const random = seededRandom(o.seed ?? 1);
  const rules = [
    architecture.modelTensors(hp),
    ...hp.layers.map((_, il) => architecture.layerTensors(hp, il)),
  ].flatMap((of) => Object.entries(of));
  const tensors = rules
    .filter(([field, rule]) => rule.optional !== true || isWanted(field, o))
    .map(([field, rule]): TensorInput => {
      const { name, shape } = rule;
      if (shape.length === 1) {
        const values = normals(shape[0] ?? 0, 0.1, random).map((x) => x + meanOf(name));
        return { name, shape, type: TYPES.f32.id, data: bytesOf(values) };
      }
      const values = normals(product(shape), 1 / Math.sqrt(shape[0] ?? 1), random);
      // ggml computes a router's product in f32 only where its weight is.
      const type = rule.isVectors === true || field === "router" ? "f32" : weights;
      const data = quantized(values, shape[0] ?? 1, TYPES[type]);
      return { name, shape, type: TYPES[type].id, data };
    });
  return { metadata, tensors, hp };
}

/** Whether a tensor that may be absent is there. */
function isWanted(field: string, o: TinyOptions): boolean {
  if (field.endsWith("Bias")) return o.biases === true;
  if (field === "ropeFactors") return o.ropeFactors === true;
  if (field === "longRopeFactors" || field === "shortRopeFactors")
    return o.longRopeFactors === true;
  // Gemma 4's.
  if (field === "v" || field === "outScale") return true;
  return field === "output" && o.untied === true;
}

/** What a vector's values lie around: norms at 1, biases and sink logits at 0, frequency factors at 2, decays below 0. */
function meanOf(name: string): number {
  if (name.endsWith("ssm_a")) return -1;
  if (name.startsWith("rope_")) return 2;
  return name.endsWith(".bias") || name.includes("attn_sinks") ? 0 : 1;
}

function parsed(metadata: Record<string, GgufInput>): Metadata {
  const file = buildGguf(metadata, []);
  return parseHeader(file, file.length).metadata;
}

function tinyMetadata(name: string, o: TinyOptions): Record<string, GgufInput> {
  const { nLayer = 3, nEmbd = 64, nHead = 4, nHeadKv = 2, nFf = 96, nCtx = 2048 } = o;
  const { headDim = nEmbd / nHead, nExpert = 0, nExpertUsed = 0 } = o;
  const u32 = (value: number): GgufInput => ({ type: "u32", value });
  const f32 = (value: number): GgufInput => ({ type: "f32", value });
  const text = (value: string): GgufInput => ({ type: "string", value });
  const keys: Record<string, GgufInput> = {
    block_count: u32(nLayer),
    context_length: u32(nCtx),
    embedding_length: u32(nEmbd),
    feed_forward_length: u32(nFf),
    "attention.head_count": u32(nHead),
    "attention.head_count_kv": u32(nHeadKv),
    "attention.key_length": u32(headDim),
    "attention.value_length": u32(headDim),
    "rope.dimension_count": u32(o.ropeDims ?? headDim),
    "attention.layer_norm_rms_epsilon": f32(1e-5),
    // Families read one of the two.
    "attention.layer_norm_epsilon": f32(2e-2),
    "rope.freq_base": f32(10_000),
    vocab_size: u32(N_VOCAB),
  };
  if (nExpert > 0) {
    keys["expert_count"] = u32(nExpert);
    keys["expert_used_count"] = u32(nExpertUsed);
  }
  if (o.ropeScaling !== undefined) {
    keys["rope.scaling.type"] = text(o.ropeScaling);
    keys["rope.scaling.factor"] = f32(4);
    keys["rope.scaling.original_context_length"] = u32(512);
  }
  Object.assign(keys, o.keys);
  return {
    "general.architecture": text(name),
    "general.name": text("tiny"),
    ...Object.fromEntries(Object.entries(keys).map(([key, value]) => [`${name}.${key}`, value])),
    ...vocabularyKeys(o.vocabulary),
  };
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

  /** The same in parts, as llama-gguf-split makes them: their paths. */
  tinyParts(n: number, options: TinyOptions = {}, name = "tiny"): string[] {
    const { metadata, tensors } = tinyModel(options);
    const padded = (i: number) => String(i).padStart(5, "0");
    return Array.from({ length: n }, (_, i) => {
      const keys: Record<string, GgufInput> = {
        ...(i === 0 ? metadata : {}),
        "split.no": { type: "u16", value: i },
        "split.count": { type: "u16", value: n },
        "split.tensors.count": { type: "i32", value: tensors.length },
      };
      const size = Math.ceil(tensors.length / n);
      const file = buildGguf(keys, tensors.slice(i * size, (i + 1) * size));
      return this.file(`${name}-${padded(i + 1)}-of-${padded(n)}.gguf`, file);
    });
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

/** Rows of `width` values as ggml rounds them, all values of the same weight. */
function quantized(values: Float32Array, width: number, type: TensorType): Uint8Array {
  if (type.name === "f32") return bytesOf(values);
  const out = new Uint8Array(rowBytes(type, width) * (values.length / width));
  const importance = new Float32Array(width).fill(1);
  native().ggml.quantizeChunk(type.id, values, out, 0, values.length / width, width, importance);
  return out;
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function product(values: readonly number[]): number {
  return values.reduce((a, b) => a * b, 1);
}
