import { InvalidArgumentError, Option, type Command } from "commander";
import type { HeadScores } from "../compression/budgets/head-scores.ts";
import type { BudgetList } from "../compression/budgets/listed.ts";
import type { GenerateOptions } from "../engine/answer.ts";
import { ENGINE_OPTIONS, GENERATE_OPTIONS, SESSION_OPTIONS } from "../engine/option-tables.ts";
import { readProfile } from "../engine/profiles.ts";
import type { SessionOptions } from "../engine/session-options.ts";
import { PyramidKVError } from "../errors.ts";
import { readJson } from "../files.ts";
import { environmentVariable } from "../user-folders.ts";
import type { OptionSpec, OptionTable } from "../options.ts";

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
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
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

const DEFAULT_MODEL = "smollm2-135m";

export interface ModelFlags {
  readonly model: string;
  readonly kernels?: string;
  readonly threads?: number;
  readonly context?: number;
  /** Whether what the machine cannot hold is tried all the same. */
  readonly force?: boolean;
}

/** Which model, and which operations: what memory depends on. */
export function addModelChoice(command: Command, byDefault = DEFAULT_MODEL): Command {
  const option = new Option(
    "-m, --model <model>",
    "path of a .gguf, owner/repo[:quant] on the hub, or a name from `pyramidkv models list`",
  );
  const usual = environmentVariable("PYRAMIDKV_MODEL") ?? byDefault;
  command.addOption(option.default(usual, `${usual}; PYRAMIDKV_MODEL sets another`));
  return addOptions(command, { kernels: ENGINE_OPTIONS.kernels });
}

/** The same, and how it is run. */
export function addModelOptions(command: Command, byDefault = DEFAULT_MODEL): Command {
  addOptions(addModelChoice(command, byDefault), {
    threads: ENGINE_OPTIONS.threads,
    context: ENGINE_OPTIONS.context,
  });
  return command.option("--force", "try what is predicted to exceed the machine's memory");
}

/** Options of the library that a command takes too, from their table. */
export function addOptions(command: Command, table: OptionTable): Command {
  for (const spec of Object.values(table)) {
    const { flag, help = "" } = spec;
    if (flag === undefined) continue;
    const option = new Option(flag, help);
    const parse = parserOf(spec);
    if (parse !== undefined) option.argParser(parse);
    command.addOption(option);
  }
  return command;
}

/** How an option's text is read; what its value may be is checked by the library. */
function parserOf({ kind }: OptionSpec): ((text: string) => unknown) | undefined {
  if (kind === "integer") return integer;
  if (kind === "number") return decimal;
  return kind === "bytes" ? bytes : undefined;
}

/** The values of a table's options among a command's flags. */
function valuesOf(table: OptionTable, flags: object): Record<string, unknown> {
  const entries = Object.entries(table).flatMap(([name, { flag }]) => {
    if (flag === undefined) return [];
    const value = (flags as Record<string, unknown>)[new Option(flag).attributeName()];
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(entries);
}

/** The flags of compression, by the names that the command line gives them. */
export type CompressionFlags = Omit<SessionOptions, "seed" | "budgets" | "profile" | "method"> & {
  readonly method?: string;
  readonly seedTokens?: number;
  readonly budgetFile?: string;
  readonly profile?: string;
};

/** The options of every command that compresses. */
export function addCompressionOptions(command: Command): Command {
  return addOptions(command, SESSION_OPTIONS);
}

/** The part of a command's flags that a session takes; files that they name are read. */
export async function sessionOptions(flags: CompressionFlags): Promise<SessionOptions> {
  const values = valuesOf(SESSION_OPTIONS, flags);
  const { budgetFile, profile } = flags;
  if (budgetFile !== undefined) values.budgets = await readBudgets(budgetFile);
  const isFile = profile !== undefined && !["auto", "none"].includes(profile);
  if (isFile) values.profile = await readProfile(profile);
  return values;
}

/** Tokens per layer or kv head, or scores of heads, from a JSON file; what is in them is checked by the library. */
export async function readBudgets(path: string): Promise<BudgetList | HeadScores> {
  const list = await readJson(path);
  if (typeof list === "object" && list !== null) return list as BudgetList | HeadScores;
  throw new PyramidKVError("BAD_FILE", `${path} holds neither a list of budgets nor head scores`);
}

export type SamplingFlags = Omit<GenerateOptions, "stop"> & { readonly stop?: string[] };

export function addSamplingOptions(command: Command): Command {
  const { logitBias: bias, stop, ...others } = GENERATE_OPTIONS;
  return addOptions(command, others)
    .option(bias.flag, bias.help, logitBias)
    .option(stop.flag, stop.help, (text, texts: string[] = []) => [...texts, text]);
}

/** The part of a command's flags that generation takes. */
export function samplingOptions(flags: SamplingFlags): GenerateOptions {
  return valuesOf(GENERATE_OPTIONS, flags);
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
