import { COMPRESSION_OPTIONS } from "../compression/option-table.ts";
import { KERNEL_CHOICES } from "../ggml/kernels/choices.ts";
import { KV_TYPES } from "../kvcache/kv-format.ts";
import type { OptionTable } from "../options.ts";

/** ggml's own limit, GGML_MAX_N_THREADS. */
const MAX_THREADS = 512;
const MAX_CHUNK = 4096;
/** libllama takes 2^32 − 1 to mean a random seed. */
const MAX_SEED = 2 ** 32 - 2;

/** The options of `Engine.load`. */
export const ENGINE_OPTIONS = {
  model: { kind: "text" },
  threads: {
    kind: "integer",
    min: 1,
    max: MAX_THREADS,
    flag: "-t, --threads <n>",
    help: "CPU threads (default: the cores at hand)",
  },
  chunkTokens: { kind: "integer", min: 1, max: MAX_CHUNK },
  context: {
    kind: "integer",
    min: 1,
    flag: "--context <n>",
    help: "tokens that prompt and answer may have (default: what the model was trained for)",
  },
  kernels: {
    kind: "choice",
    of: KERNEL_CHOICES,
    flag: "--kernels <name>",
    help: `attention and matmuls by: ${KERNEL_CHOICES.join(", ")} (default: auto; ggml equals libllama to the bit)`,
  },
  onProgress: { kind: "function" },
  onWarning: { kind: "function" },
  signal: { kind: "signal" },
} as const satisfies OptionTable;

/** The options of `createSession`. */
export const SESSION_OPTIONS = {
  ...COMPRESSION_OPTIONS,
  kvBytes: {
    kind: "bytes",
    flag: "--kv-bytes <size>",
    help: "bytes to keep instead of --kv-size: 4MiB, 500kB, 1GiB",
  },
  kvType: {
    kind: "text",
    flag: "--kv-type <type>",
    help: `cache type: ${Object.keys(KV_TYPES).join(", ")} (default: f16)`,
  },
  kvLimit: { kind: "integer", min: 1 },
} as const satisfies OptionTable;

/** The options of `prefill`. */
export const PREFILL_OPTIONS = {
  signal: { kind: "signal" },
  onProgress: { kind: "function" },
} as const satisfies OptionTable;

/** The options of `watchAttention`. */
export const WATCH_OPTIONS = {
  ...PREFILL_OPTIONS,
  queries: { kind: "own" },
  onLayer: { kind: "function" },
} as const satisfies OptionTable;

/** How a token is sampled. */
export const SAMPLING_OPTIONS = {
  temperature: {
    kind: "number",
    min: 0,
    max: 100,
    flag: "--temperature <x>",
    help: "0 takes the most likely token (default: 0)",
  },
  topK: {
    kind: "integer",
    min: 0,
    max: 2 ** 31 - 1,
    flag: "--top-k <n>",
    help: "only the n most likely tokens, 0 for all (default: 40)",
  },
  topP: {
    kind: "number",
    min: 0,
    max: 1,
    flag: "--top-p <x>",
    help: "only tokens that together have this probability (default: 0.95)",
  },
  minP: {
    kind: "number",
    min: 0,
    max: 1,
    flag: "--min-p <x>",
    help: "only tokens with this share of the best one's (default: 0.05)",
  },
  repeatPenalty: {
    kind: "number",
    min: 0.01,
    max: 100,
    flag: "--repeat-penalty <x>",
    help: "divides logits of recent tokens (default: 1, off)",
  },
  frequencyPenalty: {
    kind: "number",
    min: -100,
    max: 100,
    flag: "--frequency-penalty <x>",
    help: "subtracted per occurrence (default: 0)",
  },
  presencePenalty: {
    kind: "number",
    min: -100,
    max: 100,
    flag: "--presence-penalty <x>",
    help: "subtracted once (default: 0)",
  },
  penaltyLastN: { kind: "integer", min: 0, max: 2 ** 20 },
  seed: {
    kind: "integer",
    min: 0,
    max: MAX_SEED,
    flag: "--seed <n>",
    help: "seed of the random choice (default: 0)",
  },
  logitBias: {
    kind: "own",
    flag: "--logit-bias <id:x,...>",
    help: "added to the logits of tokens",
  },
} as const satisfies OptionTable;

/** The options of `generate`. */
export const GENERATE_OPTIONS = {
  ...SAMPLING_OPTIONS,
  stop: { kind: "own", flag: "--stop <text>", help: "stop at this text; may be repeated" },
  maxTokens: { kind: "integer", min: 0 },
  minTokens: { kind: "integer", min: 0 },
  ignoreEndOfText: { kind: "boolean" },
  signal: { kind: "signal" },
} as const satisfies OptionTable;
