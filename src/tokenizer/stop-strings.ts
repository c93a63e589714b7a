/** Holds text back while it could still become a stop string, and cuts where the first of them begins. */
export class StopStrings {
  #held = "";

  constructor(private readonly stops: readonly string[]) {}

  /**
   * Adds text; `stopped` is true once it is certain which stop string begins first, and neither it nor what follows is
   * part of `text`.
   */
  push(text: string): { text: string; stopped: boolean } {
    this.#held += text;
    const complete = this.#firstComplete();
    const begun = this.#held.length - this.stops.reduce((n, s) => Math.max(n, this.#overlap(s)), 0);
    // One that begins before may still become complete, and then it is the first.
    if (complete <= begun && complete < this.#held.length) return this.#cut(complete);
    const out = this.#held.slice(0, begun);
    this.#held = this.#held.slice(begun);
    return { text: out, stopped: false };
  }

  /** The text still held back when generation ends by itself. */
  end(): { text: string; stopped: boolean } {
    const complete = this.#firstComplete();
    return complete < this.#held.length
      ? this.#cut(complete)
      : { text: this.#take(), stopped: false };
  }

  /** Whether text would be cut. */
  wouldStop(text: string): boolean {
    return this.stops.some((stop) => (this.#held + text).includes(stop));
  }

  #cut(at: number): { text: string; stopped: boolean } {
    return { text: this.#take().slice(0, at), stopped: true };
  }

  #take(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  /** Where the first stop string begins that is there as a whole; the text's length where none is. */
  #firstComplete(): number {
    const places = this.stops.map((stop) => this.#held.indexOf(stop)).filter((i) => i >= 0);
    return Math.min(this.#held.length, ...places);
  }

  /** Length of the longest end of the text that begins `stop`. */
  #overlap(stop: string): number {
    for (let n = Math.min(this.#held.length, stop.length - 1); n > 0; n--) {
      if (stop.startsWith(this.#held.slice(this.#held.length - n))) return n;
    }
    return 0;
  }
}
