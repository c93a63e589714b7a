import { describeValue, PyramidKVError } from "../errors.ts";
import { checkedScore, checkMethod } from "./check.ts";
import type { Method } from "./method.ts";
import { METHODS } from "./methods.ts";
import { WRAPPERS } from "./wrappers.ts";

const added = new Map<string, Method>();

/**
 * Makes a method of your own known by its name in this process: it can be asked for as `METHODS` can, in wrappers, too.
 * A later one of the same name takes its place.
 *
 * @throws `USAGE` where a part of it is missing or wrong, or its name is taken or cannot be one
 */
export function addMethod(method: Method): void {
  checkMethod(method);
  const { name } = method;
  if (!/^[a-z][a-z0-9-]*$/.test(name)) {
    throw new PyramidKVError(
      "USAGE",
      `a method's name is made of small letters, digits and hyphens, got ${describeValue(name)}`,
    );
  }
  if (Object.hasOwn(METHODS, name) || Object.hasOwn(WRAPPERS, name)) {
    throw new PyramidKVError(
      "USAGE",
      `there is a method or wrapper named ${name}; choose another name`,
    );
  }
  added.set(name, { ...method, score: checkedScore(method) });
}

/** Every method that can be asked for by name: ours, then those that were added. */
export function knownMethods(): ReadonlyMap<string, Method> {
  return new Map<string, Method>([...Object.entries(METHODS), ...added]);
}
