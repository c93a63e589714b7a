import type { Recompression } from "./cut/recompression.ts";
import type { KvCache } from "../kvcache/kv-cache.ts";

/**
 * The native memory of a session, apart from it: where somebody forgets a session, its memory is freed when the
 * session is collected, and that is told once.
 */
export class SessionMemory implements Disposable {
  #disposed = false;

  constructor(
    readonly cache: KvCache,
    readonly recompression: Recompression | undefined,
    private readonly onFree: (memory: SessionMemory) => void,
  ) {}

  /** Frees the memory once `owner` is collected, unless it was disposed before. */
  watch(owner: object): void {
    forgotten.register(owner, this, this);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    forgotten.unregister(this);
    this.onFree(this);
    this.recompression?.[Symbol.dispose]();
    this.cache[Symbol.dispose]();
  }
}

const forgotten = new FinalizationRegistry<SessionMemory>((memory) => {
  const { bytes } = memory.cache;
  memory[Symbol.dispose]();
  if (bytes === 0) return;
  process.emitWarning(
    `a session was dropped without being disposed; the ${bytes} bytes of its cache are free only now: write "using session = …", or call session[Symbol.dispose]()`,
    "PyramidKVWarning",
  );
});
