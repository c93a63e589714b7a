import { PyramidKVError } from "../errors.ts";
import type { Cursor } from "./cursor.ts";
import { LIMITS } from "./limits.ts";

/** The value types of the GGUF format, by number: name and size in bytes (0: has its own length). */
const VALUE_TYPES = [
  ["u8", 1],
  ["i8", 1],
  ["u16", 2],
  ["i16", 2],
  ["u32", 4],
  ["i32", 4],
  ["f32", 4],
  ["bool", 1],
  ["string", 0],
  ["array", 0],
  ["u64", 8],
  ["i64", 8],
  ["f64", 8],
] as const;

export type ValueType = (typeof VALUE_TYPES)[number][0];
type ScalarType = Exclude<ValueType, "string" | "array">;

/** One metadata value. Arrays are kept as bytes and decoded only when asked for. */
export type GgufValue =
  | { readonly type: ScalarType; readonly value: number | bigint | boolean }
  | { readonly type: "string"; readonly value: string }
  | GgufArray;

export interface GgufArray {
  readonly type: "array";
  readonly elementType: Exclude<ValueType, "array">;
  readonly length: number;
  /** The encoded elements, a view of the header. */
  readonly bytes: Uint8Array;
}

export function readValue(cursor: Cursor, key: string): GgufValue {
  const [type, size] = readType(cursor, key);
  if (type === "array") return readArray(cursor, key);
  if (type === "string") {
    return { type, value: cursor.string(`the value of ${key}`, LIMITS.stringLength) };
  }
  const start = cursor.take(size, key);
  return { type, value: decodeScalar(type, cursor.bytes, start) };
}

function readType(cursor: Cursor, key: string): readonly [ValueType, number] {
  const id = cursor.u32(`the type of ${key}`);
  const entry = VALUE_TYPES[id];
  if (entry === undefined) {
    throw new PyramidKVError("BAD_FILE", `${key} has the unknown value type ${id}`);
  }
  return entry;
}

function readArray(cursor: Cursor, key: string): GgufArray {
  const [elementType, size] = readType(cursor, key);
  if (elementType === "array") {
    throw new PyramidKVError("BAD_FILE", `${key} is an array of arrays, which GGUF readers refuse`);
  }
  // An element takes at least 1 byte (8 for a string's length), so the file's size bounds the count.
  const length = cursor.u64(
    `the length of ${key}`,
    Math.floor(LIMITS.headerBytes / (size === 0 ? 8 : size)),
  );
  const start = cursor.offset;
  if (size > 0) cursor.take(length * size, key);
  else for (let i = 0; i < length; i++) skipString(cursor, key);
  return { type: "array", elementType, length, bytes: cursor.bytes.subarray(start, cursor.offset) };
}

function skipString(cursor: Cursor, key: string): void {
  cursor.take(cursor.u64(`the length of a string in ${key}`, LIMITS.stringLength), key);
}

function decodeScalar(type: ScalarType, bytes: Uint8Array, at: number): number | bigint | boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case "u8":
      return view.getUint8(at);
    case "i8":
      return view.getInt8(at);
    case "u16":
      return view.getUint16(at, true);
    case "i16":
      return view.getInt16(at, true);
    case "u32":
      return view.getUint32(at, true);
    case "i32":
      return view.getInt32(at, true);
    case "f32":
      return view.getFloat32(at, true);
    case "bool":
      return view.getUint8(at) !== 0;
    case "u64":
      return view.getBigUint64(at, true);
    case "i64":
      return view.getBigInt64(at, true);
    case "f64":
      return view.getFloat64(at, true);
  }
}

/** The elements of a numeric array. */
export function arrayNumbers(array: GgufArray, key: string): number[] {
  const { elementType, length, bytes } = array;
  if (elementType === "string") {
    throw new PyramidKVError("BAD_FILE", `${key} holds strings, numbers were expected`);
  }
  const size = bytes.length / Math.max(1, length);
  return Array.from({ length }, (_, i) => Number(decodeScalar(elementType, bytes, i * size)));
}

/**
 * Calls `visit` with where each string of an array lies in `bytes`; stops when it returns `false`.
 * Bytes, not text: a vocabulary may hold pieces of characters.
 */
export function visitStrings(
  array: GgufArray,
  visit: (bytes: Buffer, start: number, end: number, index: number) => boolean | void,
): void {
  const { buffer, byteOffset, byteLength } = array.bytes;
  const view = new DataView(buffer, byteOffset, byteLength);
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  for (let i = 0, at = 0; i < array.length; i++) {
    // The header's limit keeps every length far below 2^32, so the upper half is 0.
    const end = at + 8 + view.getUint32(at, true);
    if (visit(bytes, at + 8, end, i) === false) return;
    at = end;
  }
}
