import { suggestion } from "./nearest.ts";

/** What kind of thing went wrong; the command line turns `USAGE` into exit code 2, all others into 1. */
export type ErrorCode =
  | "USAGE" // an option or argument is wrong
  | "BAD_FILE" // a file is missing, damaged or not what it should be
  | "UNSUPPORTED" // a valid request that this version cannot serve
  | "NO_MEMORY" // the machine has less memory than is needed
  | "CONTEXT_FULL" // more tokens than the model's context
  | "BUSY" // the session is already generating
  | "DISPOSED" // used after its disposal
  | "NATIVE" // ggml or libllama refused
  | "NETWORK" // the hub or the package index could not be used
  | "ABORTED"; // the caller's AbortSignal fired

/** Every error this package throws on purpose: one sentence with the value, the limit and what to do. */
export class PyramidKVError extends Error {
  override readonly name = "PyramidKVError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** An error that says of which file or model it is; an abort and what is not ours stay as they are. */
export function naming(name: string, error: unknown): Error {
  if (!(error instanceof PyramidKVError) || error.code === "ABORTED") return error as Error;
  // What a damaged file holds may be quoted.
  const message = error.message.replace(/\p{Cc}+/gu, " ");
  return new PyramidKVError(error.code, `${name}: ${message}`, { cause: error });
}

/** Throws a `USAGE` error unless `value` is an integer in `[min, max]`. */
export function requireInteger(
  name: string,
  value: unknown,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    const range =
      max === Number.MAX_SAFE_INTEGER ? `an integer of at least ${min}` : `${min} to ${max}`;
    throw new PyramidKVError("USAGE", `${name} must be ${range}, got ${describeValue(value)}`);
  }
  return value;
}

const LONGEST_SHOWN = 60;

/** A value as an error shows it: the string "64" is not the number 64. */
export function describeValue(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (typeof value === "symbol" || typeof value === "bigint") return String(value);
  const isPlain = Array.isArray(value) || Object.getPrototypeOf(value ?? {}) === Object.prototype;
  if (typeof value === "object" && value !== null && !isPlain) {
    const { name } = (value.constructor ?? {}) as { name?: string };
    return name === undefined ? "an object without a prototype" : `a ${name}`;
  }
  const text = typeof value === "number" ? String(value) : (safeJson(value) ?? String(value));
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
}

function safeJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/** Throws a `USAGE` error that lists what is known, unless `value` is one of `known`. */
export function requireOneOf<T extends string>(
  name: string,
  value: string,
  names: readonly T[],
): T {
  if (!(names as readonly unknown[]).includes(value)) {
    const near = typeof value === "string" ? suggestion(value, names) : "";
    throw new PyramidKVError(
      "USAGE",
      `unknown ${name} ${describeValue(value)}; known: ${names.join(", ")}${near}`,
    );
  }
  return value as T;
}

/** Throws `ABORTED` once `signal` fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new PyramidKVError("ABORTED", "the request was aborted", { cause: signal.reason });
  }
}
