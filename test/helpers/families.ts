import { ARCHITECTURES } from "../../src/models/architectures.ts";
import type { GgufInput } from "./gguf-writer.ts";
import type { TinyOptions } from "./tiny-model.ts";

const u32 = (value: number): GgufInput => ({ type: "u32", value });
const f32 = (value: number): GgufInput => ({ type: "f32", value });
const text = (value: string): GgufInput => ({ type: "string", value });

export interface FamilyCase {
  readonly options: Omit<TinyOptions, "architecture">;
  /** Tokens that its layers with a window see. */
  readonly window?: number;
  /** How far the logits of q8_0 weights may be from libllama's, where an input may be rounded to its neighbour of 8 bits. */
  readonly quantized?: number;
}

const WINDOW = 24;
const windows = { "attention.sliding_window": u32(WINDOW) };
const yarn = {
  "rope.scaling.type": text("yarn"),
  "rope.scaling.factor": f32(4),
  "rope.scaling.original_context_length": u32(512),
};
const moe = { nExpert: 8, nExpertUsed: 2 };

/** A tiny model of each family, with all that sets the family apart. */
export const FAMILIES: Record<keyof typeof ARCHITECTURES, FamilyCase> = {
  llama: { options: {} },
  qwen2: { options: { biases: true } },
  qwen3: { options: { untied: true } },
  gemma3: {
    options: {
      nLayer: 7,
      keys: { ...windows, "rope.scaling.type": text("linear"), "rope.scaling.factor": f32(8) },
    },
    window: WINDOW,
  },
  "gpt-oss": {
    options: { ...moe, nLayer: 4, untied: true, keys: { ...windows, ...yarn, ...experts(64) } },
    window: WINDOW,
  },
  qwen3moe: { options: { ...moe, untied: true, keys: experts(64) } },
  qwen2moe: {
    options: {
      ...moe,
      untied: true,
      biases: true,
      keys: { ...experts(64), expert_shared_feed_forward_length: u32(128) },
    },
  },
  gemma: { options: { nHeadKv: 1 } },
  gemma2: {
    options: {
      nLayer: 4,
      keys: {
        ...windows,
        attn_logit_softcapping: f32(2),
        final_logit_softcapping: f32(3),
      },
    },
    window: WINDOW,
  },
  phi3: {
    options: {
      longRopeFactors: true,
      nHeadKv: 4,
      keys: {
        "rope.scaling.original_context_length": u32(512),
        "rope.scaling.attn_factor": f32(1.2),
      },
    },
  },
  smollm3: { options: { nLayer: 5 } },
  granite: {
    options: {
      keys: {
        embedding_scale: f32(3),
        residual_scale: f32(0.3),
        "attention.scale": f32(0.2),
        logit_scale: f32(4),
      },
    },
  },
  granitemoe: {
    options: {
      ...moe,
      keys: { logit_scale: f32(4), expert_shared_feed_forward_length: u32(64) },
    },
  },
  olmo2: {
    options: { nLayer: 5, untied: true, keys: { ...windows, ...yarn } },
    window: WINDOW,
  },
  glm4: { options: { ropeDims: 8, biases: true, untied: true } },
  mistral3: {
    options: {
      keys: {
        ...yarn,
        "rope.scaling.original_context_length": u32(100),
        "rope.scaling.yarn_log_multiplier": f32(1),
        "attention.temperature_scale": f32(0.4),
      },
    },
    // Queries grow before they are rotated, not behind it.
    quantized: 0.05,
  },
  starcoder2: { options: { nHeadKv: 1 } },
};

/** The families by name, as a test takes them. */
export const FAMILY_CASES = Object.entries(FAMILIES).map(
  ([name, family]) =>
    [
      name,
      {
        ...family,
        options: { ...family.options, architecture: ARCHITECTURES[name as keyof typeof FAMILIES] },
      },
    ] as const,
);

function experts(width: number): Record<string, GgufInput> {
  return { expert_feed_forward_length: u32(width) };
}
