import type { OptionTable } from "../options.ts";
import { DEFAULT_KV_SIZE, DEFAULT_METHOD } from "./defaults.ts";
import { METHODS } from "./methods.ts";
import { PRESETS } from "./presets.ts";

const MAX_KERNEL = 255;

/** What help shows; `pyramidkv methods --all` has the rest. */
const SHOWN = Object.values(METHODS).flatMap(({ name, standing }) =>
  standing === "research" ? [] : [name],
);

/** The options of compression, of the library and of the command line. */
export const COMPRESSION_OPTIONS = {
  method: {
    kind: "own",
    flag: "--method <name>",
    help: `compression method, or wrappers around one: ${SHOWN.join(", ")} (pyramidkv methods tells more; default: ${DEFAULT_METHOD})`,
  },
  kvSize: {
    kind: "integer",
    min: 1,
    flag: "--kv-size <n>",
    help: `tokens kept per layer and kv head, on average (default: ${DEFAULT_KV_SIZE})`,
  },
  budgets: {
    kind: "own",
    flag: "--budget-file <path>",
    help: "JSON: tokens per layer or kv head, or { scores, beta } of heads",
  },
  preset: {
    kind: "choice",
    of: Object.keys(PRESETS),
    flag: "--preset <name>",
    help: `published values for the rest: ${Object.keys(PRESETS).join(", ")} (default: paper)`,
  },
  alpha: {
    kind: "integer",
    min: 1,
    flag: "--alpha <n>",
    help: "observation window: last prompt tokens that score the others",
  },
  window: {
    kind: "integer",
    min: 0,
    flag: "--window <n>",
    help: "retained window: last prompt tokens kept by force",
  },
  beta: {
    kind: "number",
    min: 1,
    flag: "--beta <x>",
    help: "steepness of the pyramid, larger is steeper",
  },
  pool: {
    kind: "choice",
    of: ["avg", "max"],
    flag: "--pool <kind>",
    help: "pooling of scores over neighbours: avg, max",
  },
  kernel: {
    kind: "integer",
    min: 1,
    max: MAX_KERNEL,
    flag: "--kernel <n>",
    help: "neighbours pooled together, odd",
  },
  gqa: {
    kind: "choice",
    of: ["mean", "max"],
    flag: "--gqa <kind>",
    help: "reduction over the query heads of a kv head: mean, max",
  },
  sinks: {
    kind: "integer",
    min: 0,
    flag: "--sinks <n>",
    help: "first tokens kept by force",
  },
  // Sampling has a seed of its own.
  seed: {
    kind: "integer",
    min: 0,
    flag: "--seed-tokens <n>",
    help: "seed of the method random",
  },
  lag: {
    kind: "integer",
    min: 2,
    flag: "--lag <n>",
    help: "tokens of the stretches that lagkv compares",
  },
  profile: {
    kind: "own",
    flag: "--profile <path>",
    help: "what funnel divides by: auto (the model's profile, if any), none, or a profile's file",
  },
} as const satisfies OptionTable;
