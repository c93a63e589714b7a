import { koffi, type Pointer } from "./ffi.ts";
import { NativeOwner } from "./owner.ts";

/** The C library per platform; elsewhere files are read instead. */
const C_LIBRARY: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  linux: "libc.so.6",
  darwin: "libSystem.B.dylib",
};

const PROT_READ = 1;
const MAP_SHARED = 1;
const MADV_WILLNEED = 3;
/** `MAP_FAILED`, −1 as an address. */
const MAP_FAILED = 2n ** 64n - 1n;

interface MapFunctions {
  mmap(at: null, size: number, prot: number, flags: number, fd: number, offset: number): Pointer;
  munmap(at: Pointer, size: number): number;
  madvise(at: Pointer, size: number, advice: number): number;
}

let functions: MapFunctions | undefined;

/**
 * A file's bytes as memory, read by the system when they are first touched and shared between
 * processes. As with every mapping, the file must not become shorter while it is in use.
 */
export class MappedFile extends NativeOwner {
  readonly address: Pointer;
  readonly #size: number;

  private constructor(address: Pointer, size: number) {
    super();
    this.address = address;
    this.#size = size;
  }

  /** Maps an open file read-only; undefined where this platform or file system cannot. */
  static open(fd: number, size: number): MappedFile | undefined {
    functions ??= bindFunctions();
    if (functions === undefined) return undefined;
    const address = functions.mmap(null, size, PROT_READ, MAP_SHARED, fd, 0);
    if (address === null || address === MAP_FAILED) return undefined;
    functions.madvise(address, size, MADV_WILLNEED);
    return new MappedFile(address, size);
  }

  protected release(): void {
    functions?.munmap(this.address, this.#size);
  }
}

function bindFunctions(): MapFunctions | undefined {
  const name = C_LIBRARY[process.platform];
  if (name === undefined) return undefined;
  const lib = koffi.load(name);
  return {
    mmap: lib.func("void* mmap(void*,size_t,int,int,int,int64_t)"),
    munmap: lib.func("int munmap(void*,size_t)"),
    madvise: lib.func("int madvise(void*,size_t,int)"),
  };
}
