/** Errors of outputs relative to them, over many outputs of a layer or head: √(Σ ‖few − whole‖² / Σ ‖whole‖²). */
export class RelativeErrors {
  readonly #lost: number[][];
  readonly #whole: number[];

  /**
   * @param n layers, or heads of all layers
   * @param width errors of each output
   */
  constructor(n: number, width: number) {
    this.#lost = Array.from({ length: n }, () => new Array<number>(width).fill(0));
    this.#whole = new Array<number>(n).fill(0);
  }

  /** Adds ‖few − whole‖, [width], and ‖whole‖ of an output. */
  add(place: number, errors: readonly number[], norm: number): void {
    const lost = this.#lost[place] as number[];
    errors.forEach((error, i) => (lost[i] = (lost[i] as number) + error ** 2));
    this.#whole[place] = (this.#whole[place] as number) + norm ** 2;
  }

  /** [n][width] */
  result(): number[][] {
    return this.#lost.map((lost, place) => {
      const whole = (this.#whole[place] as number) || 1;
      return lost.map((x) => Math.sqrt(x / whole));
    });
  }
}
