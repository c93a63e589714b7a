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
  /** How far a step's logits may be from plain loops'. */
  readonly step?: number;
  /** How far the logits of q8_0 weights may be from libllama's, where an input may be rounded to its neighbour of 8 bits. */
  readonly quantized?: number;
}

/** So large that each place shows where it belongs. */
const EPSILON = { "attention.layer_norm_rms_epsilon": f32(1e-2) };
const WINDOW = 24;
const windows = { "attention.sliding_window": u32(WINDOW) };
const yarn = {
  "rope.scaling.type": text("yarn"),
  "rope.scaling.factor": f32(4),
  "rope.scaling.original_context_length": u32(512),
};
const moe = { nExpert: 8, nExpertUsed: 2 };
const deltaNet = {
  "ssm.conv_kernel": u32(4),
  "ssm.inner_size": u32(128),
  "ssm.state_size": u32(32),
  "ssm.time_step_rank": u32(4),
  "ssm.group_count": u32(2),
};
const sections = {
  "rope.dimension_sections": { type: "i32s", value: [2, 1, 1, 0] },
} as const;

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
    quantized: 0.1,
  },
  starcoder2: { options: { nHeadKv: 1 } },
  lfm2: {
    options: {
      nLayer: 6,
      keys: {
        "attention.head_count_kv": { type: "i32s", value: [0, 0, 2, 0, 2, 0] },
        "shortconv.l_cache": u32(3),
      },
    },
  },
  qwen35: {
    options: { nLayer: 5, ropeDims: 8, keys: { ...deltaNet, ...sections } },
  },
  qwen35moe: {
    options: {
      ...moe,
      nLayer: 4,
      ropeDims: 8,
      untied: true,
      keys: {
        ...deltaNet,
        ...sections,
        ...experts(64),
        expert_shared_feed_forward_length: u32(128),
        full_attention_interval: u32(2),
      },
    },
  },
  gemma4: {
    options: {
      nLayer: 9,
      headDim: 32,
      keys: {
        ...windows,
        "attention.sliding_window_pattern": { type: "i32s", value: [1, 1, 0, 1, 0, 1, 1, 0, 1] },
        "attention.shared_kv_layers": u32(4),
        "attention.head_count_kv": { type: "i32s", value: [2, 2, 1, 2, 1, 2, 2, 1, 2] },
        "attention.key_length_swa": u32(16),
        "attention.value_length_swa": u32(16),
        "rope.dimension_count_swa": u32(16),
        "rope.freq_base_swa": f32(500),
        feed_forward_length: { type: "i32s", value: [96, 96, 96, 96, 96, 160, 160, 160, 160] },
        embedding_length_per_layer_input: u32(64),
        final_logit_softcapping: f32(3),
      },
    },
    window: WINDOW,
    // ggml looks gelu up in a table of f16: here twice in each of many layers.
    step: 0.01,
    // The matrix of what layers are told is read in parts, so it is not repacked: last bits differ.
    quantized: 0.2,
  },
  qwen3next: {
    options: {
      ...moe,
      nLayer: 5,
      ropeDims: 8,
      keys: { ...deltaNet, ...experts(64), expert_shared_feed_forward_length: u32(128) },
    },
  },
};

/** The families by name, as a test takes them. */
export const FAMILY_CASES = Object.entries(FAMILIES).map(
  ([name, family]) =>
    [
      name,
      {
        ...family,
        options: {
          ...family.options,
          architecture: ARCHITECTURES[name as keyof typeof FAMILIES],
          keys: { ...EPSILON, ...family.options.keys },
        },
      },
    ] as const,
);

function experts(width: number): Record<string, GgufInput> {
  return { expert_feed_forward_length: u32(width) };
}
