import { PyramidKVError } from "../errors.ts";

/** The bytes read so far ended inside the header: read more and parse again. */
export class NeedMoreBytes extends Error {}

/** Reads little-endian values from the start of a file, never past what was read. */
export class Cursor {
  offset = 0;
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    /** Size of the whole file: a claim beyond it is an error, one beyond `bytes` asks for more. */
    readonly fileSize: number,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Advances over `n` bytes and returns where they begin. */
  take(n: number, what: string): number {
    const start = this.offset;
    const end = start + n;
    if (end > this.fileSize) {
      throw new PyramidKVError(
        "BAD_FILE",
        `the file is truncated or damaged: ${what} needs ${n} bytes at offset ${start}, the file has ${this.fileSize}`,
      );
    }
    if (end > this.bytes.length) throw new NeedMoreBytes();
    this.offset = end;
    return start;
  }

  u32(what: string): number {
    return this.#view.getUint32(this.take(4, what), true);
  }

  /** A 64-bit count or size, which must not exceed `limit`. */
  u64(what: string, limit: number): number {
    const at = this.take(8, what);
    // Two halves instead of a BigInt: vocabularies have hundreds of thousands of lengths.
    const value = this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
    if (value > limit) {
      throw new PyramidKVError("BAD_FILE", `${what} is ${value}, the limit is ${limit}`);
    }
    return value;
  }

  string(what: string, limit: number): string {
    const length = this.u64(`the length of ${what}`, limit);
    const start = this.take(length, what);
    return decodeUtf8(this.bytes.subarray(start, start + length), what);
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

export function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new PyramidKVError("BAD_FILE", `${what} is not valid UTF-8`, { cause });
  }
}
