/** Holds text back while it could still become a stop string, and cuts at the first that appears. */
export class StopStrings {
  #held = "";

  constructor(private readonly stops: readonly string[]) {}

  /** Adds text; `stopped` is true once a stop string appeared, which is not part of `text`. */
  push(text: string): { text: string; stopped: boolean } {
    this.#held += text;
    const at = this.stops
      .map((stop) => this.#held.indexOf(stop))
      .filter((i) => i >= 0)
      .reduce((a, b) => Math.min(a, b), Infinity);
    if (at !== Infinity) {
      const before = this.#held.slice(0, at);
      this.#held = "";
      return { text: before, stopped: true };
    }
    const keep = this.stops.reduce((n, stop) => Math.max(n, overlap(this.#held, stop)), 0);
    const out = this.#held.slice(0, this.#held.length - keep);
    this.#held = this.#held.slice(this.#held.length - keep);
    return { text: out, stopped: false };
  }

  /** The text still held back when generation ends by itself. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

/** Length of the longest end of `text` that begins `stop`. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(text.length, stop.length - 1); n > 0; n--) {
    if (stop.startsWith(text.slice(text.length - n))) return n;
  }
  return 0;
}
