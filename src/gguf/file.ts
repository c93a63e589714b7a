import { open, type FileHandle } from "node:fs/promises";
import { PyramidKVError } from "../errors.ts";
import { NeedMoreBytes } from "./cursor.ts";
import { LIMITS } from "./limits.ts";
import { parseHeader, type GgufHeader } from "./parse.ts";

/** Llama 3's header has 8 MB, SmolLM2's 2 MB: most headers need one or two reads. */
const FIRST_READ = 4 * 1024 * 1024;

/** An open GGUF file: its checked header, and a handle to read tensors from. */
export interface GgufFile extends GgufHeader, AsyncDisposable {
  readonly path: string;
  readonly size: number;
  readonly handle: FileHandle;
}

/** Opens and checks a GGUF file; throws `BAD_FILE` with one sentence that says what is wrong. */
export async function openGguf(path: string): Promise<GgufFile> {
  const handle = await openFile(path);
  try {
    const stat = await handle.stat();
    if (stat.isDirectory()) {
      throw new PyramidKVError("BAD_FILE", "it is a directory, a .gguf file was expected");
    }
    if (stat.size === 0) throw new PyramidKVError("BAD_FILE", "the file is empty");
    const read = async (size: number) => {
      const bytes = new Uint8Array(size);
      const { bytesRead } = await handle.read(bytes, 0, size, 0);
      return bytes.subarray(0, bytesRead);
    };
    const header = await readHeader(read, stat.size);
    return {
      ...header,
      path,
      size: stat.size,
      handle,
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    if (error instanceof PyramidKVError) {
      throw new PyramidKVError(error.code, `${path}: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "no such file" : `cannot be opened (${code})`;
    throw new PyramidKVError("BAD_FILE", `${path}: ${why}`, { cause });
  }
}

/**
 * Reads no more of a file than its header needs.
 *
 * @param read gives the file's first bytes, as many as asked for
 */
export async function readHeader(
  read: (size: number) => Promise<Uint8Array>,
  fileSize: number,
): Promise<GgufHeader> {
  for (let size = Math.min(FIRST_READ, fileSize); ; size = Math.min(size * 2, fileSize)) {
    const bytes = await read(size);
    try {
      return parseHeader(bytes, fileSize);
    } catch (error) {
      if (!(error instanceof NeedMoreBytes)) throw error;
      if (bytes.length < size) {
        throw new PyramidKVError("BAD_FILE", "the file became shorter while it was read");
      }
      if (size >= LIMITS.headerBytes) {
        throw new PyramidKVError(
          "BAD_FILE",
          `the header is larger than ${LIMITS.headerBytes} bytes, the limit`,
        );
      }
    }
  }
}
