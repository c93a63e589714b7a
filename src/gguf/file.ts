import { open, type FileHandle } from "node:fs/promises";
import { naming, PyramidKVError } from "../errors.ts";
import { NeedMoreBytes } from "./cursor.ts";
import { LIMITS } from "./limits.ts";
import { parseHeader, type GgufHeader } from "./parse.ts";
import { joinParts, partCount, partNames } from "./split.ts";

/** Llama 3's header has 8 MB, SmolLM2's 2 MB: most headers need one or two reads. */
const FIRST_READ = 4 * 1024 * 1024;

/** One file of a model, open to read tensors from. */
export interface GgufPart {
  readonly path: string;
  readonly size: number;
  readonly handle: FileHandle;
}

/** An open GGUF model: its checked header, and the files that hold its tensors, one for most. */
export interface GgufFile extends GgufHeader, AsyncDisposable {
  /** Of its first part. */
  readonly path: string;
  /** Bytes of all parts. */
  readonly size: number;
  readonly parts: readonly [GgufPart, ...GgufPart[]];
}

interface OpenedPart extends GgufPart {
  readonly header: GgufHeader;
}

/**
 * Opens and checks a GGUF model by its file, or by one of its parts (`…-00001-of-00003.gguf`), which lie beside each other.
 *
 * @throws `BAD_FILE` with one sentence that says what is wrong
 */
export async function openGguf(path: string): Promise<GgufFile> {
  const opened: OpenedPart[] = [];
  const close = async () => {
    for (const { handle } of opened) await handle.close();
  };
  try {
    const given = await openPart(path);
    opened.push(given);
    const { header } = given;
    const count = withPath(path, () => partCount(header));
    const names = partNames(path);
    if (count > 1 && count !== names.length) {
      throw new PyramidKVError(
        "BAD_FILE",
        `${path}: it is one of ${count} parts (split.count), whose names end with -00001-of-${String(count).padStart(5, "0")}.gguf and so on; name them so, or join them with llama-gguf-split --merge`,
      );
    }
    for (const name of count > 1 ? names : []) {
      if (name !== path) opened.push(await openPart(name));
    }
    const byName = new Map(opened.map((part) => [part.path, part]));
    const parts = count > 1 ? names.map((name) => byName.get(name) as OpenedPart) : [given];
    const joined = count > 1 ? withPath(path, () => joinParts(parts.map((p) => p.header))) : header;
    return {
      ...joined,
      path: (parts[0] as OpenedPart).path,
      size: parts.reduce((sum, { size }) => sum + size, 0),
      parts: parts as [OpenedPart, ...OpenedPart[]],
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openPart(path: string): Promise<OpenedPart> {
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
    return { header, path, size: stat.size, handle };
  } catch (error) {
    await handle.close();
    throw naming(path, error);
  }
}

function withPath<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw naming(path, error);
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
