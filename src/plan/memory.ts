import { expectedBudgets, type Foresight } from "../compression/budgets/expected.ts";
import type { PlanShape } from "../compression/budgets/plan.ts";
import type { Compression } from "../compression/resolve.ts";
import { defaultChunkTokens, largestChunkTokens } from "../engine/read/chunks.ts";
import { MOVED_TOGETHER_BYTES } from "../engine/session.ts";
import { rowBytes, TYPES, type TensorType } from "../ggml/types.ts";
import {
  capacityFor,
  grownCapacity,
  rowsAtEnd,
  windowed,
  type Padding,
} from "../kvcache/padding.ts";
import { stateBytes } from "../kvcache/layer-state.ts";
import { fullBytes, ownsKv, tokenBytes } from "../kvcache/token-bytes.ts";
import { lastSharing } from "../models/layer-shape.ts";
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
/** Bytes of the vocabulary per token: libllama's table and our check. */
const VOCABULARY = 600;
/** Masks that ggml's attention keeps at most. */
const MASKS = 64 * MIB;
/** Tokens that tell a probe what to do, about. */
const INSTRUCTION = 64;

/** What a model, a prompt and a method need, from their numbers alone. */
export function planMemory(model: ModelShape, setting: PlanSetting): MemoryPlan {
  const { context, newTokens, compression, kvType } = setting;
  const { tokens: budgets, foresight } = expectedBudgets(compression, shapeFor(model, context));
  const tokens = ofAllLayers(model, budgets, context);
  const probe = probeTokens(setting);
  const keepsAll = (il: number) => (tokens[il] ?? []).every((n) => n >= context);
  const evicts = budgets.some((heads) => heads.some((n) => n < context));
  // A layer that keeps everything takes the scratch over as it is.
  const takesOver = (il: number) =>
    keepsAll(il) &&
    kvType === TYPES.f16 &&
    probe === 0 &&
    lastSharing(model.layers, il) === undefined;
  const paddingOf = (il: number): Padding => (keepsAll(il) ? "full" : "compressed");
  const windowOf = (il: number) => model.layers[il]?.window;
  const bytesOf = (il: number, rows: readonly number[]) =>
    2 * rowBytes(kvType, model.layers[il]?.headDim ?? 0) * sum(rows) +
    stateBytes(model.layers[il]?.recurrence?.states);
  const every = compression.recipe.every ?? 0;
  const roomOf = (il: number) => (takesOver(il) ? 0 : every);
  const rowsOf = (il: number, n: number) =>
    windowed(capacityFor(n + roomOf(il), paddingOf(il)), windowOf(il));
  const layers = tokens.map((kept, il): LayerPlan => {
    const rows = kept.map((n) => rowsOf(il, n));
    return { layer: il, kept: sum(kept) / Math.max(1, kept.length), bytes: bytesOf(il, rows) };
  });
  const bytes = sum(layers.map((l) => l.bytes));
  const atEnd = tokensAtEnd(model, setting, budgets);
  const grown = rowsAtEnd(
    tokens.flatMap((kept, il) =>
      kept.map((from, h) => ({
        from,
        to: atEnd[il]?.[h] ?? from,
        // Heads of different lengths, which nobody knows yet, grow as soon as one of them is full.
        rows: Math.max(
          rowsOf(il, from),
          foresight === "known" || newTokens === 0 ? 0 : grownCapacity(from, paddingOf(il)),
        ),
        padding: paddingOf(il),
      })),
    ),
  );
  let heads = 0;
  const endLayers = tokens.map((kept, il) => {
    const rows = grown.slice(heads, (heads += kept.length));
    return bytesOf(
      il,
      rows.map((n) => windowed(n, windowOf(il))),
    );
  });
  const endBytes = sum(endLayers);
  const full = fullBytes(model, context, kvType);
  const rowBytesOf = model.layers.map((layer) => tokenBytes(layer, TYPES.f16));
  // What later layers share is held until the last of them was read.
  const isShared = (il: number) => lastSharing(model.layers, il) !== undefined;
  const together = sum(rowBytesOf.filter((_, il) => isShared(il)));
  const scratch = capacityFor(context + probe, "full") * Math.max(...rowBytesOf, together);
  // Each layer is read beside those before it, and is the scratch itself where that becomes its cache.
  let before = 0;
  const peaks = layers.map(({ bytes: layerBytes }, il) => {
    const peak = before + scratch + (takesOver(il) ? 0 : layerBytes);
    before += layerBytes;
    return peak;
  });
  const cascades = compression.method.budget.kind === "weighed" && evicts;
  const [first = 0] = model.compressible;
  const wholeLayer = bytesOf(first, [context * model.nHeadKv]);
  const cascade = cascadePeak(bytes, wholeLayer, model.compressible.length);
  const peakBytes = cascades ? cascade + scratch : Math.max(...peaks);
  // A cache that grows is there twice, or a layer of it where it is large.
  const grows = endLayers.some((end, il) => end > (layers[il]?.bytes ?? 0));
  const moved = endBytes <= MOVED_TOGETHER_BYTES ? endBytes : Math.max(...endLayers);
  // A decode step's graph has the states of all its columns for itself.
  const states = sum(model.layers.map(({ recurrence }) => stateBytes(recurrence?.states)));
  const columns = setting.ownKernels ? states * 2 ** Math.ceil(Math.log2(setting.batch)) : 0;
  const decodePeak = endBytes + (grows ? moved : 0) + columns;

  const weights = model.weightBytes;
  const processBytes = PROCESS + VOCABULARY * model.nVocab;
  const activations = activationBytes(model, setting);
  const others = (setting.batch - 1) * endBytes;
  const reading = peakBytes + activations;
  const total = weights + processBytes + others + Math.max(reading, decodePeak);
  return {
    weights,
    process: processBytes,
    scratch,
    activations,
    total,
    kv: { bytes, endBytes, peakBytes, fullBytes: full, layers, foresight },
  };
}

/** Tokens of the longest piece that is read after the prompt to observe it; 0 where the method has no probe. */
function probeTokens({
  compression: { method, recipe, options },
  context,
  ownKernels,
}: PlanSetting): number {
  const cuts = !method.options.includes("kvSize") || context > options.kvSize;
  if (recipe.probe === undefined || !cuts) return 0;
  if (recipe.probe === "facts") return INSTRUCTION;
  return Math.min(context + INSTRUCTION, largestChunkTokens(ownKernels));
}

/**
 * The most that caches hold whose total is there from the first layers on: a layer's share is made before the layers
 * below give theirs, and each of these is there twice while it is cut.
 */
function cascadePeak(total: number, wholeLayer: number, nLayer: number): number {
  const peaks = Array.from({ length: nLayer }, (_, il) => {
    const before = Math.min(il * wholeLayer, total);
    const share = Math.min(wholeLayer, total / (il + 1));
    return before + share * (il > 0 ? 2 : 1);
  });
  return Math.max(0, ...peaks);
}

/** Tokens per layer and kv head when the answer is complete, at most. */
function tokensAtEnd(
  model: ModelShape,
  { context, newTokens, compression }: PlanSetting,
  afterPrompt: readonly (readonly number[])[],
): number[][] {
  const nTokens = context + newTokens;
  const { every } = compression.recipe;
  if (every === undefined) {
    const longer = afterPrompt.map((layer) => layer.map((n) => n + newTokens));
    return ofAllLayers(model, longer, nTokens);
  }
  // A cache that is compressed again every N tokens grows until then, if it was not full.
  const { tokens: budgets } = expectedBudgets(compression, shapeFor(model, nTokens));
  const most = afterPrompt.map((layer, at) =>
    layer.map((n, h) => Math.min(n + newTokens, Math.max(n, budgets[at]?.[h] ?? n) + every)),
  );
  return ofAllLayers(model, most, nTokens);
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** What a budget of this many tokens is divided over. */
function shapeFor({ compressible, nHeadKv }: ModelShape, nTokens: number): PlanShape {
  return { nLayer: compressible.length, nHeadKv, nTokens };
}

/** Tokens per layer and kv head: those of the layers that methods act on, and what sliding windows keep of `n`. */
function ofAllLayers(
  { layers, compressible }: ModelShape,
  tokens: readonly (readonly number[])[],
  n: number,
): number[][] {
  return layers.map((layer, il) => {
    const { nHeadKv, window } = layer;
    if (!ownsKv(layer)) return [];
    if (window === undefined) return [...(tokens[compressible.indexOf(il)] ?? [])];
    return new Array<number>(nHeadKv).fill(Math.min(n, window));
  });
}

function activationBytes(m: ModelShape, { context, compression, ownKernels }: PlanSetting): number {
  const chunk = Math.min(context, defaultChunkTokens(context, ownKernels));
  const widths = m.layers.map(({ nHead, nHeadKv, headDim, recurrence, gatesAttention, ffn }) => {
    const isOneNode = ownKernels && ffn.kind === "dense";
    const feedForward = ffn.nFf * Math.max(1, ffn.nExpertUsed) * (isOneNode ? 1 : 2);
    // A recurrent layer's convolution holds its channels thrice: before it, behind it, and with the state before them.
    const channels = recurrence?.states[0]?.[1] ?? 0;
    // Gates come with the queries, and are taken apart from them.
    const queries = gatesAttention === true ? 3 * nHead : nHead;
    return (queries + 2 * nHeadKv) * headDim + 3 * channels + feedForward;
  });
  const perToken = 4 * (2 * m.nEmbd + Math.max(...widths));
  const hidden = 4 * m.nEmbd * context;
  // Packed inputs of the widest product and the rotations; masks.
  const widest = Math.max(...m.layers.map(({ ffn }) => ffn.nFf));
  const kernels = ownKernels ? 2 * chunk * widest + 4 * m.headDim * context : 0;
  const masks = ownKernels ? 0 : Math.min(MASKS, context ** 2);
  const { needs } = compression.method;
  const sums = needs.filter((kind) => kind.endsWith("sums") || kind === "peaks").length;
  const rows = needs.filter((kind) => ["keys", "values", "plain-keys"].includes(kind)).length;
  const evidence = 4 * context * (sums * m.nHead + rows * m.nHeadKv * m.headDim);
  return hidden + chunk * perToken + kernels + masks + evidence;
}
