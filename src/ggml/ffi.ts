import koffi, { type LibraryHandle } from "koffi";

/** An address in native memory. Never dereferenced outside `src/ggml`. */
export type Pointer = bigint & { readonly __native: true };

/** A loaded library, as koffi gives it. */
export type Library = LibraryHandle;

/** A native function: called directly, or on a worker thread through `.async`. */
export interface NativeFunction<A extends unknown[], R> {
  (...args: A): R;
  async(...args: [...A, (error: unknown, result: R) => void]): void;
}

/** A symbol of a library with the type of its C signature. */
export function bind<A extends unknown[], R>(
  library: Library,
  signature: string,
): NativeFunction<A, R> {
  return library.func(signature);
}

/** Runs a native call on a worker thread, so that the event loop stays free. */
export function callAsync<A extends unknown[], R>(
  fn: NativeFunction<A, R>,
  ...args: A
): Promise<R> {
  return new Promise((resolve, reject) => {
    fn.async(...args, (error, result) => {
      if (error !== null)
        reject(error instanceof Error ? error : new Error("the native call failed"));
      else resolve(result);
    });
  });
}

/** Native memory seen as an `ArrayBuffer`, without a copy. The caller keeps the memory alive. */
export function viewNative(pointer: Pointer, bytes: number): ArrayBuffer {
  return koffi.view(pointer, bytes);
}

/** The pointer that lies `offset` bytes behind `address`. */
export function readPointer(address: Pointer, offset: number): Pointer | null {
  return koffi.decode(address, offset, "void*") as Pointer | null;
}

export { koffi };
