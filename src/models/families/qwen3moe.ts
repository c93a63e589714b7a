import { ROPE_NEOX } from "../../ggml/operations/nodes.ts";
import type { Architecture } from "../architecture.ts";
import { readCommon, uniform } from "../hyper-parameters.ts";
import { qwen3 } from "./qwen3.ts";

/** Qwen 3 with experts, the weights of the chosen ones renormalised (arXiv 2505.09388). */
export const qwen3moe: Architecture = {
  ...qwen3,
  name: "qwen3moe",
  summary: "Qwen 3 with experts (30B-A3B, 235B-A22B)",
  provedOn: "random weights",
  hyperParameters: (metadata) => uniform(readCommon(metadata, "qwen3moe", ROPE_NEOX)),
};
