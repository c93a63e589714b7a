import { open, rm, stat, utimes } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { throwIfAborted } from "./errors.ts";
import { cannotWrite } from "./files.ts";

/** Who holds a lock touches it this often, … */
const BEAT_MS = 2_000;
/** … and who has not for this long is gone. */
const STALE_MS = 15_000;
const POLL_MS = 200;

/**
 * A lock between processes: a file beside what it guards, which the holder touches as long as it lives. What a killed
 * process left is taken over.
 */
export class FileLock implements AsyncDisposable {
  readonly #beat: NodeJS.Timeout;

  private constructor(private readonly path: string) {
    this.#beat = setInterval(() => {
      const now = new Date();
      utimes(path, now, now).catch(() => undefined);
    }, BEAT_MS).unref();
  }

  /**
   * Takes the lock of `guarded` where nobody else holds it.
   *
   * @returns undefined where somebody does
   * @throws `BAD_FILE` where the folder cannot be written to
   */
  static async tryTake(guarded: string): Promise<FileLock | undefined> {
    const path = `${guarded}.lock`;
    for (;;) {
      try {
        await using handle = await open(path, "wx");
        await handle.writeFile(`${process.pid}\n`);
        return new FileLock(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw cannotWrite(path, error);
      }
      const age = await ageOf(path);
      if (age !== undefined && age < STALE_MS) return undefined;
      await rm(path, { force: true });
    }
  }

  /**
   * Waits until the lock of `guarded` is free, and takes it.
   *
   * @param onWait told once, where somebody else holds it
   * @throws `ABORTED`
   */
  static async take(
    guarded: string,
    { signal, onWait }: { readonly signal?: AbortSignal | undefined; onWait?: () => void },
  ): Promise<FileLock> {
    for (let isTold = false; ; isTold = true) {
      throwIfAborted(signal);
      const lock = await FileLock.tryTake(guarded);
      if (lock !== undefined) return lock;
      if (!isTold) onWait?.();
      await delay(POLL_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#beat);
    await rm(this.path, { force: true });
  }
}

/** Milliseconds since a file was touched; undefined where it is gone by now. */
async function ageOf(path: string): Promise<number | undefined> {
  try {
    return Date.now() - (await stat(path)).mtimeMs;
  } catch {
    return undefined;
  }
}
