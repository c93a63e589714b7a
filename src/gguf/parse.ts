import { PyramidKVError } from "../errors.ts";
import { rowBytes, typeById, type TensorType } from "../ggml/types.ts";
import { Cursor } from "./cursor.ts";
import { LIMITS } from "./limits.ts";
import { Metadata } from "./metadata.ts";
import { readValue, type GgufValue } from "./value.ts";

/** A tensor's place and shape in a GGUF file, checked against the file's size. */
export interface TensorInfo {
  readonly name: string;
  readonly type: TensorType;
  /** ggml order, without trailing ones beyond the stated dimensions. */
  readonly shape: readonly number[];
  /** Absolute byte offset in the file. */
  readonly offset: number;
  readonly bytes: number;
  /** Which part of the model holds it, where there are several; 0 for the first. */
  readonly part: number;
}

export interface GgufHeader {
  readonly metadata: Metadata;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

const MAGIC = 0x46554747; // "GGUF", little-endian
const VERSIONS = [2, 3];
const DEFAULT_ALIGNMENT = 32;

/**
 * Parses the header at the start of a GGUF file. Own code, since loaders on npm decode every token
 * (150 ms for 49,152 of them) and this one must refuse what would make the native library abort.
 *
 * @param bytes the file's first bytes; throws `NeedMoreBytes` where the header goes on beyond them
 * @throws `BAD_FILE` with the value and the limit for anything that is not a sound header
 */
export function parseHeader(bytes: Uint8Array, fileSize: number): GgufHeader {
  const cursor = new Cursor(bytes, fileSize);
  if (cursor.u32("the magic number") !== MAGIC) {
    throw new PyramidKVError("BAD_FILE", 'not a GGUF file: it does not begin with "GGUF"');
  }
  const version = cursor.u32("the version");
  if (!VERSIONS.includes(version)) {
    const versions = VERSIONS.join(" and ");
    throw new PyramidKVError("BAD_FILE", `GGUF version ${version}; versions ${versions} are known`);
  }
  const nTensors = cursor.u64("the number of tensors", LIMITS.tensors);
  const nKeys = cursor.u64("the number of keys", LIMITS.keys);
  const metadata = new Metadata(readEntries(cursor, nKeys));
  const alignment = metadata.integer("general.alignment", 8, LIMITS.alignment) ?? DEFAULT_ALIGNMENT;
  if ((alignment & (alignment - 1)) !== 0) {
    throw new PyramidKVError("BAD_FILE", `general.alignment is ${alignment}, not a power of two`);
  }
  const relative = Array.from({ length: nTensors }, (_, i) => readTensorInfo(cursor, i));
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  const tensors = new Map<string, TensorInfo>();
  let due = 0;
  for (const info of relative) {
    if (tensors.has(info.name)) {
      throw new PyramidKVError("BAD_FILE", `the tensor ${info.name} occurs twice`);
    }
    tensors.set(info.name, placeTensor(info, dataStart, alignment, fileSize));
    if (info.offset !== due) {
      throw new PyramidKVError(
        "BAD_FILE",
        `tensors are out of order: ${info.name} begins at ${info.offset}, where ${due} is due; convert the file again`,
      );
    }
    due += Math.ceil(info.bytes / alignment) * alignment;
  }
  return { metadata, tensors };
}

function readEntries(cursor: Cursor, n: number): Map<string, GgufValue> {
  const entries = new Map<string, GgufValue>();
  for (let i = 0; i < n; i++) {
    const key = cursor.string(`key ${i}`, LIMITS.keyLength);
    if (key === "") throw new PyramidKVError("BAD_FILE", `key ${i} is empty`);
    if (entries.has(key)) throw new PyramidKVError("BAD_FILE", `the key ${key} occurs twice`);
    entries.set(key, readValue(cursor, key));
  }
  return entries;
}

function readTensorInfo(cursor: Cursor, index: number): TensorInfo {
  const name = cursor.string(`the name of tensor ${index}`, LIMITS.tensorNameLength);
  const nDims = cursor.u32(`the dimensions of ${name}`);
  if (nDims < 1 || nDims > LIMITS.tensorDimensions) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${name} has ${nDims} dimensions, 1 to ${LIMITS.tensorDimensions} are allowed`,
    );
  }
  const shape: number[] = [];
  let elements = 1;
  for (let d = 0; d < nDims; d++) {
    const n = cursor.u64(`a dimension of ${name}`, LIMITS.tensorElements);
    elements *= n;
    if (n === 0 || elements > LIMITS.tensorElements) {
      throw new PyramidKVError(
        "BAD_FILE",
        `${name} has ${elements} elements, 1 to ${LIMITS.tensorElements} are allowed`,
      );
    }
    shape.push(n);
  }
  const typeId = cursor.u32(`the type of ${name}`);
  const type = typeById(typeId);
  if (type === undefined) {
    throw new PyramidKVError("BAD_FILE", `${name} has the unknown tensor type ${typeId}`);
  }
  const width = shape[0] as number;
  if (width % type.blockSize !== 0) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${name} has rows of ${width} elements, ${type.name} needs a multiple of ${type.blockSize}`,
    );
  }
  const offset = cursor.u64(`the offset of ${name}`, Number.MAX_SAFE_INTEGER);
  const bytes = rowBytes(type, width) * (elements / width);
  return { name, type, shape, offset, bytes, part: 0 };
}

function placeTensor(
  info: TensorInfo,
  dataStart: number,
  alignment: number,
  fileSize: number,
): TensorInfo {
  if (info.offset % alignment !== 0) {
    throw new PyramidKVError(
      "BAD_FILE",
      `${info.name} begins at ${info.offset}, which is not a multiple of ${alignment}`,
    );
  }
  const offset = dataStart + info.offset;
  if (offset + info.bytes > fileSize) {
    throw new PyramidKVError(
      "BAD_FILE",
      `the file is truncated: ${info.name} ends at byte ${offset + info.bytes}, the file has ${fileSize}`,
    );
  }
  return { ...info, offset };
}
