import type { CompressionOptions } from "../compression/compression-options.ts";
import { COMPRESSION_OPTIONS } from "../compression/option-table.ts";
import { resolveCompression } from "../compression/resolve.ts";
import type { HeadProfile } from "../compression/profile.ts";
import { describeValue, PyramidKVError, requireInteger, requireOneOf } from "../errors.ts";
import { kvFormat } from "../kvcache/kv-format.ts";
import { requireOneSize, tokensWithin } from "../kvcache/token-bytes.ts";
import { TYPES } from "../ggml/types.ts";
import { readOptions, type Named, type OptionTable } from "../options.ts";
import { fitInto, type Fit } from "./fit.ts";
import { planMemory, type MemoryPlan, type PlanSetting } from "./memory.ts";
import {
  PUBLISHED,
  publishedShape,
  shapeOfModel,
  WEIGHT_TYPES,
  type ModelShape,
  type PublishedName,
} from "./model-shape.ts";

export interface PlanOptions extends CompressionOptions {
  /** A published model's name, what a model is loaded by, or its shape. */
  readonly model: string | ModelShape;
  /** Type of a published model's weights. Defaults to q4_K. */
  readonly weights?: string;
  /** Tokens of a prompt. Defaults to the model's context. */
  readonly context?: number;
  readonly newTokens?: number;
  readonly batch?: number;
  readonly kvType?: string;
  readonly kvBytes?: number;
  /** Bytes that the machine has. */
  readonly memory?: number;
  readonly ownKernels?: boolean;
  /** What was calibrated for the model, where that is known. */
  readonly known?: HeadProfile;
  readonly signal?: AbortSignal;
}

const PLAN_OPTIONS = {
  ...COMPRESSION_OPTIONS,
  model: { kind: "own" },
  weights: { kind: "text" },
  known: { kind: "own" },
  // Checked where they are used, by the names that the command line has for them.
  context: { kind: "own" },
  newTokens: { kind: "own" },
  batch: { kind: "own" },
  kvType: { kind: "text" },
  kvBytes: { kind: "bytes" },
  memory: { kind: "bytes" },
  ownKernels: { kind: "boolean" },
  signal: { kind: "signal" },
} as const satisfies OptionTable;

/** What was planned, and beside it the same with nothing evicted. */
export interface Plan {
  readonly model: ModelShape;
  readonly setting: PlanSetting;
  readonly compressed: MemoryPlan;
  readonly full: MemoryPlan;
  /** Share of the full cache that is kept after the prompt. */
  readonly rate: number;
  readonly fit?: { readonly compressed: Fit; readonly full: Fit };
}

/**
 * Predicts what a model, a prompt and a method need, from numbers alone: no weights are fetched or loaded.
 *
 * @throws `USAGE` on values out of range, and what finding the model throws
 */
export async function plan(given: PlanOptions): Promise<Plan> {
  const options = readOptions("plan", PLAN_OPTIONS satisfies Named<PlanOptions>, given);
  requireOneSize(options);
  const { kvBytes, kvType = "f16", memory, known, ...rest } = options;
  const {
    model: _,
    weights: __,
    context,
    newTokens,
    batch,
    ownKernels,
    signal: _signal,
    ...asked
  } = rest;
  const model = await shapeNamed(options);
  const format = kvFormat(kvType, model);
  const size = kvBytes === undefined ? {} : { kvSize: tokensWithin(kvBytes, model, format.type) };
  const setting: PlanSetting = {
    compression: resolveCompression({ ...asked, ...size }, known),
    kvType: format.type,
    context: requireInteger("context", context ?? model.nCtx, 1),
    newTokens: requireInteger("max-tokens", newTokens ?? 0, 0),
    batch: requireInteger("batch", batch ?? 1, 1),
    ownKernels: ownKernels ?? true,
  };
  const fullSetting = { ...setting, compression: resolveCompression({ method: "full" }) };
  const [compressed, full] = [planMemory(model, setting), planMemory(model, fullSetting)];
  const common = { model, setting, compressed, full };
  const rate = compressed.kv.bytes / full.kv.bytes;
  if (memory === undefined) return { ...common, rate };
  requireInteger("memory", memory, 1);
  const fit = {
    compressed: fitInto(memory, model, setting),
    full: fitInto(memory, model, fullSetting),
  };
  return { ...common, rate, fit };
}

async function shapeNamed({ model, weights, signal }: PlanOptions): Promise<ModelShape> {
  const isShape =
    typeof model === "object" && Number.isInteger((model as ModelShape | null)?.nLayer);
  if (typeof model !== "string" && !isShape) {
    throw new PyramidKVError(
      "USAGE",
      `model must be a name, a path or a model's shape, got ${describeValue(model)}`,
    );
  }
  const isPublished = typeof model === "string" && Object.hasOwn(PUBLISHED, model);
  if (!isPublished) {
    if (weights !== undefined) {
      const name = typeof model === "string" ? model : model.name;
      const published = Object.keys(PUBLISHED).join(", ");
      throw new PyramidKVError(
        "USAGE",
        `the weights of ${name} are those of its file; a type can be named for ${published}`,
      );
    }
    return typeof model === "string" ? shapeOfModel(model, signal) : model;
  }
  const type = requireOneOf("weight type", weights ?? "q4_K", WEIGHT_TYPES);
  return publishedShape(model as PublishedName, TYPES[type as keyof typeof TYPES]);
}
