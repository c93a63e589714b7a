import { InvalidArgumentError, Option, type Command } from "commander";
import { METHODS } from "../compression/methods.ts";
import type { HeadScores } from "../compression/budgets/head-scores.ts";
import type { BudgetList } from "../compression/budgets/listed.ts";
import type { CompressionOptions } from "../compression/compression-options.ts";
import { PRESETS } from "../compression/presets.ts";
import type { SessionOptions } from "../engine/engine.ts";
import type { GenerateOptions } from "../engine/generate.ts";
import { KERNEL_CHOICES, KV_TYPES } from "../engine/choices.ts";
import { readProfile } from "../engine/profiles.ts";
import { PyramidKVError } from "../errors.ts";
import { readJson } from "../files.ts";
import { ALIASES } from "../hub/aliases.ts";

/** A whole number, written as one. */
export function integer(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError(`"${text}" is not a whole number.`);
  return Number(text);
}

/** A finite number. */
export function decimal(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw new InvalidArgumentError(`"${text}" is not a number.`);
  }
  return value;
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ b: 1, kb: 1e3, mb: 1e6, gb: 1e9, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 },
};

/** A size as people write it: 4MiB, 1.5 GB, 4096. */
export function bytes(text: string): number {
  const [, number = "", unit = ""] = /^([\d.]+)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const size = Number(number) * (UNITS[unit.toLowerCase() || "b"] ?? NaN);
  if (number === "" || !Number.isFinite(size)) {
    throw new InvalidArgumentError(`"${text}" is not a size such as 4MiB or 500kB.`);
  }
  return Math.floor(size);
}

/** A size, and how it was written. */
export interface GivenSize {
  readonly bytes: number;
  readonly text: string;
}

/** The same, remembering how it was written. */
export function givenSize(text: string): GivenSize {
  return { bytes: bytes(text), text: text.trim() };
}

/** A comma-separated list of whole numbers, each once. */
export function integers(text: string): number[] {
  return listOf(text, integer);
}

/** A comma-separated list of shares, 0 to 1, each once. */
export function shares(text: string): number[] {
  return listOf(text, (part) => {
    const share = decimal(part);
    if (share < 0 || share > 1) throw new InvalidArgumentError(`"${part}" is not within 0 and 1.`);
    return share;
  });
}

/** A comma-separated list of names, each once. */
export function names(text: string): string[] {
  return listOf(text, (part) => part);
}

function listOf<T>(text: string, parse: (part: string) => T): T[] {
  return [...new Set(text.split(",").map((part) => parse(part.trim())))];
}

export interface ModelFlags {
  readonly model: string;
  readonly kernels?: string;
  readonly threads?: number;
  /** Whether what the machine cannot hold is tried all the same. */
  readonly force?: boolean;
}

/** Which model, and which operations: what memory depends on. */
export function addModelChoice(command: Command): Command {
  return command
    .option(
      "-m, --model <model>",
      `path of a .gguf, owner/repo[:quant] on the hub, or one of: ${Object.keys(ALIASES).join(", ")}`,
      "smollm2-135m",
    )
    .option(
      "--kernels <name>",
      `attention and matmuls by: ${KERNEL_CHOICES.join(", ")} (default: auto; ggml equals libllama to the bit)`,
    );
}

/** The same, and how it is run. */
export function addModelOptions(command: Command): Command {
  return addModelChoice(command)
    .option("-t, --threads <n>", "CPU threads (default: the cores at hand)", integer)
    .option("--force", "try what is predicted to exceed the machine's memory");
}

export type CompressionFlags = Omit<CompressionOptions, "seed" | "budgets" | "profile"> & {
  readonly kvType?: string;
  readonly kvBytes?: number;
  /** Sampling has a seed of its own. */
  readonly seedTokens?: number;
  readonly budgetFile?: string;
  readonly profile?: string;
};

/** The options of every command that compresses; names are checked by the library, which lists them. */
export function addCompressionOptions(command: Command): Command {
  const methods = Object.keys(METHODS).join(", ");
  const presets = Object.keys(PRESETS).join(", ");
  return command
    .option(
      "--method <name>",
      `compression method, or wrappers around one: ${methods} (pyramidkv methods tells more)`,
      "pyramidkv",
    )
    .option(
      "--kv-size <n>",
      "tokens kept per layer and kv head, on average (default: 128)",
      integer,
    )
    .option("--kv-bytes <size>", "bytes to keep instead of --kv-size: 4MiB, 500kB, 1GiB", bytes)
    .option(
      "--budget-file <path>",
      "JSON: tokens per layer or kv head, or { scores, beta } of heads",
    )
    .option("--preset <name>", `published values for the rest: ${presets} (default: paper)`)
    .option("--alpha <n>", "observation window: last prompt tokens that score the others", integer)
    .option("--window <n>", "retained window: last prompt tokens kept by force", integer)
    .option("--beta <x>", "steepness of the pyramid, larger is steeper", decimal)
    .option("--pool <kind>", "pooling of scores over neighbours: avg, max")
    .option("--kernel <n>", "neighbours pooled together, odd", integer)
    .option("--gqa <kind>", "reduction over the query heads of a kv head: mean, max")
    .option("--sinks <n>", "first tokens kept by force", integer)
    .option("--seed-tokens <n>", "seed of the method random", integer)
    .option("--lag <n>", "tokens of the stretches that lagkv compares", integer)
    .option(
      "--profile <path>",
      "what funnel divides by: auto (the model's profile, if any), none, or a profile's file",
    )
    .addOption(
      new Option("--kv-type <type>", `cache type: ${Object.keys(KV_TYPES).join(", ")}`).default(
        "f16",
      ),
    );
}

/** The part of a command's flags that a session takes; files that they name are read. */
export async function sessionOptions(flags: CompressionFlags): Promise<SessionOptions> {
  const { method, kvSize, preset, alpha, window, beta, pool, kernel, gqa, sinks, kvType } = flags;
  const { lag, seedTokens: seed, kvBytes, budgetFile, profile } = flags;
  if (kvSize !== undefined && kvBytes !== undefined) {
    throw new PyramidKVError("USAGE", "--kv-size and --kv-bytes both set the size; give one");
  }
  const isFile = profile !== undefined && !["auto", "none"].includes(profile);
  return definedOnly({
    ...{ method, kvSize, preset, alpha, window, beta, pool, kernel, gqa, sinks, kvType },
    ...{ lag, seed, kvBytes },
    profile: isFile ? await readProfile(profile) : profile,
    budgets: budgetFile === undefined ? undefined : await readBudgets(budgetFile),
  });
}

/** Tokens per layer or kv head, or scores of heads, from a JSON file; what is in them is checked by the library. */
export async function readBudgets(path: string): Promise<BudgetList | HeadScores> {
  const list = await readJson(path);
  if (typeof list === "object" && list !== null) return list as BudgetList | HeadScores;
  throw new PyramidKVError("BAD_FILE", `${path} holds neither a list of budgets nor head scores`);
}

export interface SamplingFlags {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repeatPenalty?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  readonly seed?: number;
  readonly logitBias?: Record<number, number>;
  readonly stop?: string[];
}

export function addSamplingOptions(command: Command): Command {
  return command
    .option("--temperature <x>", "0 takes the most likely token (default: 0)", decimal)
    .option("--top-k <n>", "only the n most likely tokens, 0 for all (default: 40)", integer)
    .option(
      "--top-p <x>",
      "only tokens that together have this probability (default: 0.95)",
      decimal,
    )
    .option("--min-p <x>", "only tokens with this share of the best one's (default: 0.05)", decimal)
    .option("--repeat-penalty <x>", "divides logits of recent tokens (default: 1, off)", decimal)
    .option("--frequency-penalty <x>", "subtracted per occurrence (default: 0)", decimal)
    .option("--presence-penalty <x>", "subtracted once (default: 0)", decimal)
    .option("--seed <n>", "seed of the random choice (default: 0)", integer)
    .option("--logit-bias <id:x,...>", "added to the logits of tokens", logitBias)
    .option("--stop <text>", "stop at this text; may be repeated", (text, all: string[] = []) => [
      ...all,
      text,
    ]);
}

/** The part of a command's flags that generation takes. */
export function samplingOptions(flags: SamplingFlags): GenerateOptions {
  const { temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty } = flags;
  const { seed, logitBias: bias, stop } = flags;
  const penalties = { repeatPenalty, frequencyPenalty, presencePenalty };
  return definedOnly({ temperature, topK, topP, minP, ...penalties, seed, logitBias: bias, stop });
}

/** An object without the fields that are undefined. */
export function definedOnly<T extends object>(
  object: T,
): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(object).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

function logitBias(text: string): Record<number, number> {
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const [id = "", bias = ""] = pair.split(":");
      return [integer(id), decimal(bias)];
    }),
  );
}
