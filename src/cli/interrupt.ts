/** Ctrl-C once aborts `signal`; a second one ends the process as any command would. */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #onSignal = () => {
    if (this.signal.aborted) process.exit(130);
    this.#controller.abort();
  };

  constructor() {
    process.on("SIGINT", this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.#onSignal);
  }
}
