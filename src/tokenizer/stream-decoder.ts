/** Joins token bytes into text without ever splitting a character. */
export class StreamDecoder {
  readonly #decoder = new TextDecoder("utf-8");

  /** The text that is complete after these bytes; the start of a character waits for its rest. */
  push(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, { stream: true });
  }

  /** What is left at the end: U+FFFD for a character that never became whole. */
  end(): string {
    return this.#decoder.decode();
  }
}
