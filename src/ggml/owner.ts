import { PyramidKVError } from "../errors.ts";

/** Owns native memory: released once, and never used afterwards. */
export abstract class NativeOwner implements Disposable {
  #disposed = false;

  /** Frees what is owned; called exactly once. */
  protected abstract release(): void;

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Throws `DISPOSED` after disposal: a freed address must never reach native code. */
  protected assertAlive(): void {
    if (this.#disposed) {
      throw new PyramidKVError("DISPOSED", `this ${this.constructor.name} was disposed`);
    }
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.release();
  }
}

/** What all of these make; where one fails, what was made before it is freed. */
export function allOrNone<T extends Disposable>(makers: readonly (() => T)[]): T[] {
  const made: T[] = [];
  try {
    for (const make of makers) made.push(make());
    return made;
  } catch (error) {
    for (const one of made) one[Symbol.dispose]();
    throw error;
  }
}
