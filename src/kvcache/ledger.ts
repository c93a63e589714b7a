/** Counts the bytes of KV memory that a session holds, from the sizes of the real buffers. */
export class MemoryLedger {
  #current = 0;
  #peak = 0;

  /** Bytes held now: caches, and the prefill scratch while there is one. */
  get current(): number {
    return this.#current;
  }

  /** The most bytes held at any time. */
  get peak(): number {
    return this.#peak;
  }

  add(bytes: number): void {
    this.#current += bytes;
    this.#peak = Math.max(this.#peak, this.#current);
  }

  remove(bytes: number): void {
    this.#current -= bytes;
  }
}
