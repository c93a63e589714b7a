import { expectedBudgets, type Foresight } from "../compression/budgets/expected.ts";
import type { Compression } from "../compression/resolve.ts";
import { defaultChunkTokens } from "../engine/chunks.ts";
import { rowBytes, TYPES, type TensorType } from "../ggml/types.ts";
import { capacityFor } from "../kvcache/padding.ts";
import { tokenBytes } from "../kvcache/token-bytes.ts";
import type { ModelShape } from "./model-shape.ts";

/** What is planned for. */
export interface PlanSetting {
  readonly compression: Compression;
  /** The type of the cached keys and values. */
  readonly kvType: TensorType;
  /** Tokens of each sequence's prompt. */
  readonly context: number;
  /** Tokens that each answers with. */
  readonly newTokens: number;
  /** Sequences whose caches are held at once; prompts are read one after the other. */
  readonly batch: number;
  /** Whether our own kernels compute. */
  readonly ownKernels: boolean;
}

export interface LayerPlan {
  readonly layer: number;
  /** Tokens per kv head right after the prompt; the mean where heads differ. */
  readonly kept: number;
  readonly bytes: number;
}

/** Bytes, all of them predicted. */
export interface MemoryPlan {
  readonly weights: number;
  /** Node, libraries, the vocabulary. */
  readonly process: number;
  readonly kv: {
    /** One sequence's cache right after its prompt, and when its answer is complete. */
    readonly bytes: number;
    readonly endBytes: number;
    /** The most that a prompt holds of its cache and the layer being read. */
    readonly peakBytes: number;
    /** One sequence's prompt with nothing evicted. */
    readonly fullBytes: number;
    readonly layers: readonly LayerPlan[];
    readonly foresight: Foresight;
  };
  /** One layer's keys and values at full length. */
  readonly scratch: number;
  /** Hidden states of the prompt, a chunk's activations, what scores need. */
  readonly activations: number;
  /** All sequences, at the most demanding moment. */
  readonly total: number;
}

const MIB = 1024 * 1024;
/** Measured on Linux with Node 20: interpreter, our code, ggml and libllama; what a run adds to the heap. */
const PROCESS = 83 * MIB;
/** Of the vocabulary, per token: libllama's table and our check. */
const VOCABULARY = 600;
/** Masks that ggml's attention keeps at most. */
const MASKS = 64 * MIB;
/** Room that a session makes before it answers. */
const ROOM = 32;
/** Early layers hold more until later ones claim their share. */
const CASCADE = 1.5;

/** What a model, a prompt and a method need, from their numbers alone. */
export function planMemory(model: ModelShape, setting: PlanSetting): MemoryPlan {
  const { context, newTokens, compression, kvType } = setting;
  const { tokens, foresight } = expectedBudgets(compression, { ...model, nTokens: context });
  const keepsAll = (il: number) => (tokens[il] ?? []).every((n) => n >= context);
  const evicts = tokens.some((_, il) => !keepsAll(il));
  // A layer that keeps everything takes the scratch over as it is.
  const takesOver = (il: number) => keepsAll(il) && kvType === TYPES.f16;
  const room = compression.method.every ?? 0;
  const rowSize = rowBytes(kvType, model.headDim);
  const bytesOf = (il: number, more: number) =>
    (tokens[il] ?? []).reduce((sum, n) => {
      const rows = capacityFor(seen(model, il, n) + more, keepsAll(il) ? "full" : "compressed");
      return sum + 2 * rowSize * rows;
    }, 0);
  const layers = Array.from({ length: model.nLayer }, (_, il): LayerPlan => {
    const kept = (tokens[il] ?? []).map((n) => seen(model, il, n));
    const mean = kept.reduce((a, b) => a + b, 0) / kept.length;
    return { layer: il, kept: mean, bytes: bytesOf(il, takesOver(il) ? 0 : room) };
  });
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const bytes = sum(layers.map((l) => l.bytes));
  const more = room > 0 ? room : Math.max(newTokens, newTokens > 0 ? ROOM : 0);
  const endBytes = sum(layers.map((_, il) => bytesOf(il, more)));
  const fullBytes =
    sum(layers.map((_, il) => seen(model, il, context))) *
    tokenBytes({ ...model, nLayer: 1 }, kvType);
  const scratch = capacityFor(context, "full") * tokenBytes({ ...model, nLayer: 1 }, TYPES.f16);
  // Each layer is read beside those before it, and is the scratch itself where that becomes its cache.
  let before = 0;
  const peaks = layers.map(({ bytes: own }, il) => {
    const peak = before + scratch + (takesOver(il) ? 0 : own);
    before += own;
    return peak;
  });
  const cascades = compression.method.budget.kind === "weighed" && evicts;
  const peakBytes = cascades ? bytes * CASCADE + scratch : Math.max(...peaks);

  const weights = model.weightBytes;
  const processBytes = PROCESS + VOCABULARY * model.nVocab;
  const activations = activationBytes(model, setting);
  const others = (setting.batch - 1) * endBytes;
  const reading = peakBytes + activations;
  const total = weights + processBytes + others + Math.max(reading, endBytes);
  return {
    ...{ weights, process: processBytes, scratch, activations, total },
    kv: { bytes, endBytes, peakBytes, fullBytes, layers, foresight },
  };
}

/** Tokens that a layer keeps of `n`: a sliding window keeps no more than that. */
function seen(model: ModelShape, il: number, n: number): number {
  return Math.min(n, model.windowOf?.(il) ?? Infinity);
}

function activationBytes(m: ModelShape, { context, compression, ownKernels }: PlanSetting): number {
  const chunk = Math.min(context, defaultChunkTokens(context, ownKernels));
  const qkv = (m.nHead + 2 * m.nHeadKv) * m.headDim;
  const feedForward = m.nFf * Math.max(1, m.nExpertUsed) * (ownKernels && m.nExpert === 0 ? 1 : 2);
  const perToken = 4 * (2 * m.nEmbd + qkv + feedForward);
  const hidden = 4 * m.nEmbd * context;
  // Packed inputs of the widest product and the rotations; masks.
  const kernels = ownKernels ? 2 * chunk * m.nFf + 4 * m.headDim * context : 0;
  const masks = ownKernels ? 0 : Math.min(MASKS, context ** 2);
  const { needs } = compression.method;
  const sums = needs.filter((kind) => kind.endsWith("sums") || kind === "peaks").length;
  const rows = needs.filter((kind) => ["keys", "values", "plain-keys"].includes(kind)).length;
  const evidence = 4 * context * (sums * m.nHead + rows * m.nHeadKv * m.headDim);
  return hidden + chunk * perToken + kernels + masks + evidence;
}
