/** Joins token bytes into text without ever splitting a character. */
export class StreamDecoder {
  /** A U+FEFF at the beginning is text like any other. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #atStart = true;

  /**
   * @param dropsSpace whether a space at the very beginning is the tokenizer's own, and no text
   */
  constructor(private readonly dropsSpace = false) {}

  /** The text that is complete after these bytes; the start of a character waits for its rest. */
  push(bytes: Uint8Array): string {
    const text = this.#decoder.decode(bytes, { stream: true });
    if (!this.#atStart || text === "") return text;
    this.#atStart = false;
    return this.dropsSpace && text.startsWith(" ") ? text.slice(1) : text;
  }

  /** What is left at the end: U+FFFD for a character that never became whole. */
  end(): string {
    return this.#decoder.decode();
  }
}
