import { PyramidKVError } from "../errors.ts";
import type { GgufArray, GgufValue } from "./value.ts";

/** A GGUF's key-value pairs, read by type: a key of another type is an error, never a guess. */
export class Metadata {
  constructor(readonly entries: ReadonlyMap<string, GgufValue>) {}

  has(key: string): boolean {
    return this.entries.has(key);
  }

  /** A whole number in `[min, max]`, or undefined where the key is absent. */
  integer(key: string, min: number, max: number): number | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.type === "array" || typeof entry.value === "string") {
      throw wrongType(key, entry, "a number");
    }
    const value = Number(entry.value);
    if (
      typeof entry.value === "boolean" ||
      !Number.isInteger(value) ||
      value < min ||
      value > max
    ) {
      throw new PyramidKVError(
        "BAD_FILE",
        `${key} is ${String(entry.value)}, not ${min} to ${max}`,
      );
    }
    return value;
  }

  /** A finite number, or undefined where the key is absent. */
  number(key: string): number | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.type === "array" || typeof entry.value !== "number") {
      throw wrongType(key, entry, "a number");
    }
    if (!Number.isFinite(entry.value)) {
      throw new PyramidKVError("BAD_FILE", `${key} is ${entry.value}, not a finite number`);
    }
    return entry.value;
  }

  string(key: string): string | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.type !== "string") throw wrongType(key, entry, "a string");
    return entry.value;
  }

  boolean(key: string): boolean | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.type !== "bool") throw wrongType(key, entry, "a boolean");
    return entry.value as boolean;
  }

  /** Throws where a key is there with another type than this one, which libllama insists on. */
  requireType(key: string, type: GgufValue["type"]): void {
    const entry = this.entries.get(key);
    if (entry !== undefined && entry.type !== type) throw wrongType(key, entry, type);
  }

  array(key: string): GgufArray | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.type !== "array") throw wrongType(key, entry, "an array");
    return entry;
  }
}

/** `value`, or an error that names the missing key. */
export function required<T>(value: T | undefined, key: string): T {
  if (value === undefined) throw new PyramidKVError("BAD_FILE", `the file has no ${key}`);
  return value;
}

function wrongType(key: string, entry: GgufValue, expected: string): PyramidKVError {
  return new PyramidKVError(
    "BAD_FILE",
    `${key} is of type ${entry.type}, ${expected} was expected`,
  );
}
