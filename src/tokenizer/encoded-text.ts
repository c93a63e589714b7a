/** A text and its tokens, and where in it each of them ends. */
export class EncodedText {
  /**
   * @param tokens token ids
   * @param ends of each token, the bytes of UTF-8 from the text's beginning to its end; tokens without text have
   * those of the one before
   */
  constructor(
    readonly text: string,
    readonly tokens: Int32Array,
    private readonly ends: Int32Array,
  ) {}

  /**
   * The tokens before a place of the text and those from it on; one that lies across it belongs to the second part.
   *
   * @param place in UTF-16 units
   */
  splitAt(place: number): { before: Int32Array; after: Int32Array } {
    const bytes = Buffer.byteLength(this.text.slice(0, place));
    const after = this.ends.findIndex((end) => end > bytes);
    const cut = after < 0 ? this.tokens.length : after;
    return { before: this.tokens.slice(0, cut), after: this.tokens.slice(cut) };
  }

  /** The same with other tokens of no text, such as that of the sequence's beginning, before its own from `skip` on. */
  withBeginning(beginning: readonly number[], skip: number): EncodedText {
    const tokens = Int32Array.from([...beginning, ...this.tokens.subarray(skip)]);
    const none = new Array<number>(beginning.length).fill(this.ends[skip - 1] ?? 0);
    return new EncodedText(
      this.text,
      tokens,
      Int32Array.from([...none, ...this.ends.subarray(skip)]),
    );
  }
}
