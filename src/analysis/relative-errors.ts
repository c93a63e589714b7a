/** Errors of outputs relative to them, over many outputs of a layer: √(Σ ‖few − whole‖² / Σ ‖whole‖²). */
export class RelativeErrors {
  readonly #lost: number[][];
  readonly #whole: number[];

  /** @param width errors of each output */
  constructor(nLayer: number, width: number) {
    this.#lost = Array.from({ length: nLayer }, () => new Array<number>(width).fill(0));
    this.#whole = new Array<number>(nLayer).fill(0);
  }

  /** Adds ‖few − whole‖, [width], and ‖whole‖ of an output. */
  add(il: number, errors: readonly number[], norm: number): void {
    const lost = this.#lost[il] as number[];
    errors.forEach((error, i) => (lost[i] = (lost[i] as number) + error ** 2));
    this.#whole[il] = (this.#whole[il] as number) + norm ** 2;
  }

  /** [nLayer][width] */
  result(): number[][] {
    return this.#lost.map((lost, il) => {
      const whole = (this.#whole[il] as number) || 1;
      return lost.map((x) => Math.sqrt(x / whole));
    });
  }
}
