import { PyramidKVError, requireOneOf } from "../errors.ts";
import type { Method } from "./method.ts";
import { METHODS, type MethodName } from "./methods.ts";
import type { HeadProfile } from "./profile.ts";
import { requireTogether } from "./together.ts";
import { WRAPPERS, type Wrapper, type WrapperName } from "./wrappers.ts";

const PART = /^([a-z0-9-]+)(?::([^():]+))?\((.*)\)$/;

/**
 * The method that a text names: one of `METHODS`, or wrappers around one, as `every:128(ada(snapkv))`.
 *
 * @param profile what is known of the model's heads, where the method can use it
 * @throws `USAGE` on unknown names and arguments, with the known ones
 */
export function composeMethod(text: string, profile?: HeadProfile): Method {
  const match = PART.exec(text.trim());
  if (match === null) {
    const name = requireOneOf("method", text.trim(), Object.keys(METHODS) as MethodName[]);
    const method: Method = METHODS[name];
    return profile === undefined ? method : (method.calibrated?.(profile) ?? method);
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
  const known = wrapper.ignoresProfile === true ? undefined : profile;
  const wrapped = wrapper.wrap(composeMethod(inner, known), value);
  requireTogether(wrapped);
  return { ...wrapped, name: text.trim() };
}
