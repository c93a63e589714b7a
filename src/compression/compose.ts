import { PyramidKVError, requireOneOf } from "../errors.ts";
import type { BudgetPolicy } from "./budgets/budget.ts";
import type { Method } from "./method.ts";
import { knownMethods } from "./own-methods.ts";
import type { HeadProfile } from "./profile.ts";
import { recipeOf, requireTogether, type Recipe } from "./recipe.ts";
import type { Wrapper } from "./wrapper.ts";
import { WRAPPERS, type WrapperName } from "./wrappers.ts";

const PART = /^([a-z0-9-]+)(?::([^():]+))?\((.*)\)$/;

/** What a named method is made with, where there is anything. */
export interface Known {
  /** What is known of the model's heads, where the method can use it. */
  readonly profile?: HeadProfile | undefined;
  /** Instead of the named method's own division; wrappers go around it. */
  readonly budget?: BudgetPolicy | undefined;
}

/**
 * The recipe that a text names: one of `METHODS` or added to them, or wrappers around one, as `every:128(ada(snapkv))`.
 *
 * @throws `USAGE` on unknown names and arguments, with the known ones, and on a wrapper that divides what a given
 * budget has divided
 */
export function composeRecipe(text: string, knowledge: Known = {}): Recipe {
  const recipe = composed(text, knowledge);
  requireTogether(recipe);
  return recipe;
}

function composed(text: string, knowledge: Known): Recipe {
  const match = PART.exec(text.trim());
  if (match === null) {
    const method = methodNamed(text.trim());
    const { profile, budget } = knowledge;
    const fitted = profile === undefined ? method : calibrated(method, profile);
    return recipeOf(budget === undefined ? fitted : { ...fitted, budget });
  }
  const [, name = "", argument, inner = ""] = match;
  const wrapper: Wrapper =
    WRAPPERS[requireOneOf("wrapper", name, Object.keys(WRAPPERS) as WrapperName[])];
  if (argument !== undefined && wrapper.argument === undefined) {
    throw new PyramidKVError("USAGE", `${name} takes no argument, got "${argument}"`);
  }
  const value = argument === undefined ? undefined : Number(argument);
  if (value !== undefined && !Number.isFinite(value)) {
    throw new PyramidKVError("USAGE", `${name} takes a number, got "${argument}"`);
  }
  if (knowledge.budget !== undefined && wrapper.divides === true) {
    throw new PyramidKVError("USAGE", `${name} divides the budget, which was given: leave one out`);
  }
  const within = wrapper.ignoresProfile === true ? { ...knowledge, profile: undefined } : knowledge;
  const wrapped = wrapper.wrap(composed(inner, within), value);
  return { ...wrapped, method: { ...wrapped.method, name: text.trim() } };
}

function methodNamed(text: string): Method {
  const [opened, closed] = [text.split("(").length, text.split(")").length];
  if (opened !== closed) {
    const which = opened > closed ? "a closing" : "an opening";
    throw new PyramidKVError("USAGE", `unknown method "${text}": ${which} parenthesis is missing`);
  }
  const methods = knownMethods();
  const names = [...methods.keys()];
  const [name = ""] = text.split(":");
  if (Object.hasOwn(WRAPPERS, name) && !methods.has(name)) {
    throw new PyramidKVError(
      "USAGE",
      `unknown method "${text}"; known: ${names.join(", ")}; ${name} goes around one of them, as in ${text}(snapkv)`,
    );
  }
  return methods.get(requireOneOf("method", text, names)) as Method;
}

const calibratedMethods = new WeakMap<HeadProfile, Map<Method, Method>>();

/** A method for a model's heads: the same object each time, so that sizes that rank alike are seen to. */
function calibrated(method: Method, profile: HeadProfile): Method {
  const byMethod = calibratedMethods.get(profile) ?? new Map<Method, Method>();
  calibratedMethods.set(profile, byMethod);
  const fitted = byMethod.get(method) ?? method.calibrated?.(profile) ?? method;
  byMethod.set(method, fitted);
  return fitted;
}
