import { PyramidKVError, requireInteger, requireOneOf } from "../errors.ts";
import type { BudgetPolicy } from "./budgets/budget.ts";
import { headScored, type HeadScores } from "./budgets/head-scores.ts";
import { listed, meanBudget, type BudgetList } from "./budgets/listed.ts";
import { checkMethod } from "./check.ts";
import { composeMethod } from "./compose.ts";
import type { Method } from "./method.ts";
import type { MethodName } from "./methods.ts";
import type { CompressionOptions } from "./compression-options.ts";
import type { OptionName, ResolvedOptions } from "./options.ts";
import { PRESETS, type PresetName } from "./presets.ts";
import type { HeadProfile } from "./profile.ts";
import { requireTogether } from "./together.ts";

/** A method with all its options fixed: all that compression needs to know. */
export interface Compression {
  readonly method: Method;
  readonly options: ResolvedOptions;
  /** Whether the caller asked for this alpha; one that merely is the default shrinks with the prompt. */
  readonly alphaGiven: boolean;
  /** Options that were given but have no effect on this method. */
  readonly unused: readonly string[];
}

const DEFAULT_METHOD: MethodName = "pyramidkv";
const DEFAULT_KV_SIZE = 128;
const MAX_KERNEL = 255;

/**
 * Fills in defaults and checks every value; throws `USAGE` with the value and the limit.
 *
 * @param profile what was calibrated for the model, for the methods that use it
 */
export function resolveCompression(
  asked: CompressionOptions = {},
  profile?: HeadProfile,
): Compression {
  const used = typeof asked.profile === "object" ? asked.profile : ofModel(asked.profile, profile);
  const wanted = asked.method ?? DEFAULT_METHOD;
  const budget = asked.budgets && policyOf(asked.budgets);
  if (typeof wanted !== "string") checkMethod(wanted);
  const method =
    typeof wanted === "string"
      ? composeMethod(wanted, { profile: used, budget })
      : { ...wanted, ...(budget && { budget }) };
  requireTogether(method);
  const unused = Object.keys(asked).filter(
    (name) =>
      !["method", "budgets"].includes(name) &&
      asked[name as keyof CompressionOptions] !== undefined &&
      !method.options.includes(name as OptionName),
  );
  const given: CompressionOptions = {
    ...asked,
    ...Object.fromEntries(unused.map((n) => [n, undefined])),
  };
  const presets = Object.keys(PRESETS) as PresetName[];
  const preset = requireOneOf("preset", given.preset ?? "paper", presets);
  const base = { ...PRESETS[preset], ...method.defaults };

  const listedSize = isList(asked.budgets) ? meanBudget(asked.budgets) : undefined;
  const options: ResolvedOptions = {
    kvSize: requireInteger("kvSize", given.kvSize ?? listedSize ?? DEFAULT_KV_SIZE, 1),
    preset,
    alpha: requireInteger("alpha", given.alpha ?? base.alpha, 1),
    window: requireInteger("window", given.window ?? base.window, 0),
    beta: requireBeta(given.beta ?? base.beta),
    pool: requireOneOf("pool", given.pool ?? base.pool, ["avg", "max"]),
    kernel: requireOdd(given.kernel ?? base.kernel),
    gqa: requireOneOf("gqa", given.gqa ?? base.gqa, ["mean", "max"]),
    sinks: requireInteger("sinks", given.sinks ?? base.sinks, 0),
    rounding: base.rounding,
    seed: requireInteger("seed", given.seed ?? base.seed, 0),
    lag: requireInteger("lag", given.lag ?? base.lag, 2),
    profile: method.profile ?? "none",
  };
  checkForced(method, options);
  return { method, options, alphaGiven: given.alpha !== undefined, unused };
}

function isList(budgets: CompressionOptions["budgets"]): budgets is BudgetList {
  return Array.isArray(budgets);
}

function policyOf(budgets: BudgetList | HeadScores): BudgetPolicy {
  return isList(budgets) ? listed(budgets) : headScored(budgets);
}

function ofModel(name = "auto", profile: HeadProfile | undefined): HeadProfile | undefined {
  return requireOneOf("profile", name, ["auto", "none"]) === "none" ? undefined : profile;
}

/** The options that have an effect on the method, for reports. */
export function effectiveOptions({ method, options }: Compression): Partial<ResolvedOptions> {
  return Object.fromEntries(method.options.map((name) => [name, options[name]]));
}

/** Tokens that a head keeps whatever their scores: the sinks and the window, as far as the method has them. */
export function forcedTokens({ method, options }: Pick<Compression, "method" | "options">): number {
  return forcedNames(method).reduce((sum, name) => sum + options[name], 0);
}

function forcedNames(method: Method) {
  return (["window", "sinks"] as const).filter((name) => method.options.includes(name));
}

function checkForced(method: Method, o: ResolvedOptions): void {
  const counted = forcedNames(method);
  if (counted.length > 0 && o.kvSize <= forcedTokens({ method, options: o })) {
    const parts = counted.map((name) => `${name} (${o[name]})`).join(" + ");
    throw new PyramidKVError(
      "USAGE",
      `kvSize must be larger than ${parts}, which are always kept; got ${o.kvSize}`,
    );
  }
}

function requireBeta(beta: number): number {
  if (!(beta >= 1) || !Number.isFinite(beta)) {
    throw new PyramidKVError("USAGE", `beta must be a number of at least 1, got ${beta}`);
  }
  return beta;
}

function requireOdd(kernel: number): number {
  requireInteger("kernel", kernel, 1, MAX_KERNEL);
  if (kernel % 2 === 0) throw new PyramidKVError("USAGE", `kernel must be odd, got ${kernel}`);
  return kernel;
}
