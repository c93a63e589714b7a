import { describeValue, PyramidKVError, requireInteger, requireOneOf } from "./errors.ts";
import { suggestion } from "./nearest.ts";

/** What an option's value may be. */
type Kind =
  | { readonly kind: "integer"; readonly min: number; readonly max?: number }
  /** A number of at least `min`, up to `max` where there is one. */
  | { readonly kind: "number"; readonly min: number; readonly max?: number }
  /** Bytes: a whole number, on the command line with a unit. */
  | { readonly kind: "bytes" }
  | { readonly kind: "text" }
  | { readonly kind: "boolean" }
  | { readonly kind: "choice"; readonly of: readonly string[] }
  | { readonly kind: "function" }
  | { readonly kind: "signal" }
  /** Several kinds of values, which who reads the option tells apart. */
  | { readonly kind: "own" };

/** An option of a function, and of the command line where it has a flag there. */
export type OptionSpec = Kind & {
  /** How it is written on the command line, such as `--kv-size <n>`. */
  readonly flag?: string;
  /** For the command line's help. */
  readonly help?: string;
  /** What the help names as the default. */
  readonly fallback?: string | number;
};

/** A table with a row for every option of an interface. */
export type Named<T> = Readonly<Record<keyof T, OptionSpec>>;

export type OptionTable = Readonly<Record<string, OptionSpec>>;

/**
 * The options that a function was given, checked: one object, no unknown names, every value of its kind. Undefined
 * ones count as not given.
 *
 * @param where the function's name, for errors
 * @throws `USAGE` naming the option, its value and what it must be
 */
export function readOptions<T extends object>(where: string, table: OptionTable, given: T): T {
  requireObject(where, given);
  const names = Object.keys(table);
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (spec === undefined) {
      const near = suggestion(name, names);
      throw new PyramidKVError(
        "USAGE",
        `${where}: unknown option "${name}"; known: ${names.join(", ")}${near}`,
      );
    }
    if (value === undefined) continue;
    checkOption(name, spec, value);
    options[name] = value;
  }
  return options as T;
}

/** Throws `USAGE` unless a value is a plain object: a name or a number would be taken for one without options. */
function requireObject(where: string, given: unknown): void {
  const isPlain =
    typeof given === "object" &&
    given !== null &&
    [Object.prototype, null].includes(Object.getPrototypeOf(given) as object | null);
  if (isPlain) return;
  throw new PyramidKVError(
    "USAGE",
    `${where} takes an object of options, got ${describeValue(given)}`,
  );
}

/** Throws `USAGE` unless `value` is a list of numbers: text is not encoded by itself. */
export function requireList(name: string, value: unknown): asserts value is ArrayLike<number> {
  const { length } = (value ?? {}) as { length?: unknown };
  if (typeof value === "object" && Number.isInteger(length) && (length as number) >= 0) return;
  const hint = typeof value === "string" ? "; encode text first, with engine.tokenizer" : "";
  throw new PyramidKVError(
    "USAGE",
    `${name} must be a list of token ids, got ${describeValue(value)}${hint}`,
  );
}

/** Throws `USAGE` unless an option's value is of its kind. */
export function checkOption(name: string, spec: OptionSpec, value: unknown): void {
  const refuse = (what: string) => {
    throw new PyramidKVError("USAGE", `${name} must be ${what}, got ${describeValue(value)}`);
  };
  switch (spec.kind) {
    case "integer":
      requireInteger(name, value, spec.min, spec.max);
      return;
    case "bytes":
      requireInteger(name, value, 1);
      return;
    case "number": {
      const { min, max = Infinity } = spec;
      if (typeof value === "number" && Number.isFinite(value) && value >= min && value <= max) {
        return;
      }
      refuse(max === Infinity ? `a number of at least ${min}` : `${min} to ${max}`);
      return;
    }
    case "choice":
      requireOneOf(name, value as string, spec.of);
      return;
    case "text":
      if (typeof value !== "string") refuse("text");
      return;
    case "boolean":
      if (typeof value !== "boolean") refuse("true or false");
      return;
    case "function":
      if (typeof value !== "function") refuse("a function");
      return;
    case "signal":
      if (!(value instanceof AbortSignal)) refuse("an AbortSignal");
      return;
    case "own":
  }
}
