import { PyramidKVError, requireOneOf } from "../errors.ts";
import { readOptions, type Named } from "../options.ts";
import type { BudgetPolicy } from "./budgets/budget.ts";
import { headScored, type HeadScores } from "./budgets/head-scores.ts";
import { listed, meanBudget, type BudgetList } from "./budgets/listed.ts";
import { checkedScore, checkRecipe } from "./check.ts";
import { composeRecipe } from "./compose.ts";
import type { Method } from "./method.ts";
import { DEFAULT_KV_SIZE, DEFAULT_METHOD } from "./defaults.ts";
import type { CompressionOptions } from "./compression-options.ts";
import { COMPRESSION_OPTIONS } from "./option-table.ts";
import type { GqaReduce, OptionName, Pool, ResolvedOptions } from "./options.ts";
import { PRESETS, type PresetName } from "./presets.ts";
import { checkProfile, type HeadProfile } from "./profile.ts";
import { sourceOf, type MethodSource } from "./rank-job.ts";
import { requireTogether, type Recipe } from "./recipe.ts";

/** A method with all its options fixed: all that compression needs to know. */
export interface Compression {
  readonly method: Method;
  /** The method, and how it is run. */
  readonly recipe: Recipe;
  readonly options: ResolvedOptions;
  /** What makes the method again in another thread; none where somebody added it. */
  readonly source?: MethodSource | undefined;
  /** Whether the caller asked for this alpha; one that merely is the default shrinks with the prompt. */
  readonly alphaGiven: boolean;
  /** Options that were given but have no effect on this method. */
  readonly unused: readonly string[];
}

/**
 * Fills in defaults and checks every value; throws `USAGE` with the value and the limit.
 *
 * @param profile what was calibrated for the model, for the methods that use it
 */
export function resolveCompression(
  asked: CompressionOptions = {},
  profile?: HeadProfile,
): Compression {
  const given = readOptions(
    "compression",
    COMPRESSION_OPTIONS satisfies Named<CompressionOptions>,
    asked,
  );
  const used = profileOf(given.profile, profile);
  const recipe = recipeFor(given, used);
  const { method } = recipe;
  const unused = Object.keys(given).filter(
    (name) => !["method", "budgets"].includes(name) && !method.options.includes(name as OptionName),
  );
  const ignored = Object.fromEntries(unused.map((name) => [name, undefined]));
  const o: CompressionOptions = { ...given, ...ignored };
  const preset = (o.preset ?? "paper") as PresetName;
  const base = { ...PRESETS[preset], ...method.defaults };

  const listedSize = isList(given.budgets) ? meanBudget(given.budgets) : undefined;
  const options: ResolvedOptions = {
    kvSize: o.kvSize ?? listedSize ?? DEFAULT_KV_SIZE,
    preset,
    alpha: o.alpha ?? base.alpha,
    window: o.window ?? base.window,
    beta: o.beta ?? base.beta,
    pool: (o.pool ?? base.pool) as Pool,
    kernel: requireOdd(o.kernel ?? base.kernel),
    gqa: (o.gqa ?? base.gqa) as GqaReduce,
    sinks: o.sinks ?? base.sinks,
    rounding: base.rounding,
    seed: o.seed ?? base.seed,
    lag: o.lag ?? base.lag,
    profile: method.profile ?? "none",
  };
  checkForced(method, options);
  const wanted = given.method ?? DEFAULT_METHOD;
  const source = typeof wanted === "string" ? sourceOf(wanted, used) : undefined;
  return { method, recipe, options, source, alphaGiven: o.alpha !== undefined, unused };
}

function recipeFor(
  { method: wanted = DEFAULT_METHOD, budgets }: CompressionOptions,
  profile: HeadProfile | undefined,
): Recipe {
  const budget = budgets && policyOf(budgets);
  if (typeof wanted === "string") return composeRecipe(wanted, { profile, budget });
  const recipe: unknown = isRecipe(wanted) ? wanted : { method: wanted };
  checkRecipe(recipe);
  const { method } = recipe;
  const probe = recipe.probe ?? method.probe;
  const checked = { ...method, score: checkedScore(method), ...(budget && { budget }) };
  const composed = { ...recipe, probe, method: checked };
  requireTogether(composed);
  return composed;
}

function isRecipe(wanted: Method | Recipe): wanted is Recipe {
  return typeof wanted === "object" && wanted !== null && "method" in wanted;
}

function isList(budgets: CompressionOptions["budgets"]): budgets is BudgetList {
  return Array.isArray(budgets);
}

function policyOf(budgets: BudgetList | HeadScores): BudgetPolicy {
  return isList(budgets) ? listed(budgets) : headScored(budgets);
}

function profileOf(
  name: HeadProfile | string = "auto",
  profile: HeadProfile | undefined,
): HeadProfile | undefined {
  if (typeof name === "object") {
    checkProfile(name, "profile", "USAGE");
    return name;
  }
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

function requireOdd(kernel: number): number {
  if (kernel % 2 === 0) throw new PyramidKVError("USAGE", `kernel must be odd, got ${kernel}`);
  return kernel;
}
