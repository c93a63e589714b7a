import { PyramidKVError } from "../errors.ts";
import { required, type Metadata } from "../gguf/metadata.ts";
import type { Architecture } from "./architecture.ts";
import { gemma } from "./families/gemma.ts";
import { gemma2 } from "./families/gemma2.ts";
import { gemma3 } from "./families/gemma3.ts";
import { gemma4 } from "./families/gemma4.ts";
import { glm4 } from "./families/glm4.ts";
import { gptOss } from "./families/gpt-oss.ts";
import { granite, graniteMoe } from "./families/granite.ts";
import { lfm2 } from "./families/lfm2.ts";
import { llama } from "./families/llama.ts";
import { mistral3 } from "./families/mistral3.ts";
import { olmo2 } from "./families/olmo2.ts";
import { phi3 } from "./families/phi3.ts";
import { qwen2 } from "./families/qwen2.ts";
import { qwen2moe } from "./families/qwen2moe.ts";
import { qwen3 } from "./families/qwen3.ts";
import { qwen3moe } from "./families/qwen3moe.ts";
import { qwen35, qwen35moe } from "./families/qwen35.ts";
import { qwen3next } from "./families/qwen3next.ts";
import { smollm3 } from "./families/smollm3.ts";
import { starcoder2 } from "./families/starcoder2.ts";

/** Every architecture that the engine runs, by `general.architecture`. */
export const ARCHITECTURES = {
  llama,
  qwen2,
  qwen3,
  gemma3,
  "gpt-oss": gptOss,
  qwen3moe,
  qwen2moe,
  gemma,
  gemma2,
  phi3,
  smollm3,
  granite,
  granitemoe: graniteMoe,
  olmo2,
  glm4,
  mistral3,
  starcoder2,
  lfm2,
  qwen35,
  qwen35moe,
  qwen3next,
  gemma4,
} as const satisfies Record<string, Architecture>;

/** Why some architectures are not run, for those that people try. */
const REFUSED: Readonly<Record<string, string>> = {
  ...named("it has no attention, so there is no KV cache to compress", [
    "mamba",
    "mamba2",
    "rwkv6",
    "rwkv6qwen2",
    "rwkv7",
    "arwkv7",
  ]),
  ...named("its attention is latent (MLA), which is not there yet", [
    "deepseek2",
    "deepseek32",
    "kimi-linear",
    "minicpm3",
    "plm",
  ]),
  ...named("its attention begins anew every 8,192 tokens, which is not there yet", ["llama4"]),
  ...named("it sees pictures, which is not there yet", [
    "clip",
    "qwen2vl",
    "qwen3vl",
    "qwen3vlmoe",
  ]),
};

function named(reason: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, reason]));
}

/** The architecture of a file; throws `UNSUPPORTED` with the known ones. */
export function architectureOf(metadata: Metadata): Architecture {
  const key = "general.architecture";
  const name = required(metadata.string(key), key);
  const found = Object.values(ARCHITECTURES).find((a) => a.name === name);
  if (found !== undefined) return found;
  if (Object.hasOwn(REFUSED, name)) {
    throw new PyramidKVError(
      "UNSUPPORTED",
      `the architecture "${name}" is not run: ${REFUSED[name]}`,
    );
  }
  const names = Object.keys(ARCHITECTURES).join(", ");
  throw new PyramidKVError("UNSUPPORTED", `unknown architecture "${name}"; known: ${names}`);
}
