import { TOKEN_ATTRIBUTES, type Vocabulary } from "../ggml/vocabulary.ts";
import { EncodedText } from "./encoded-text.ts";
import type { PromptText, Span } from "./prompt-text.ts";

const { unknown, control, userDefined, stripsLeft, stripsRight } = TOKEN_ATTRIBUTES;
const SPECIAL = unknown | control | userDefined;
const SPACE = 0x20;
/** Bytes to look through for the text of the next token, in a vocabulary that drops bytes it does not have. */
const MOST_DROPPED = 16;
/** Characters that no vocabulary joins to what follows, so that text behind one of them is read as text that goes on. */
const SEPARATORS = ["\u0001", "\u0002", "\n"];

/** A token that is written as one piece of text, such as `<|im_end|>`, and where: bytes of UTF-8. */
interface Special extends Span {
  readonly token: number;
  readonly attributes: number;
}

/** What the vocabulary says of a token. */
interface Entry {
  readonly piece: Uint8Array;
  readonly attributes: number;
}

/** How a part of a text is read. */
interface Reading {
  readonly parseSpecial: boolean;
  /** Whether text comes before it, so that no space is put there. */
  readonly goesOn: boolean;
}

/** Tokens, and where each ends: bytes of UTF-8. */
interface Located {
  readonly tokens: Int32Array;
  readonly ends: Int32Array;
}

/**
 * Encodes texts of which parts are not to be trusted: control tokens come from the other parts alone. Where none is
 * forged, the tokens are those of libllama for the whole text.
 */
export class TextEncoder {
  readonly #entries = new Map<number, Entry>();

  /**
   * @param prefixesSpace whether a space is put before text at the beginning and behind special tokens
   */
  constructor(
    private readonly vocabulary: Vocabulary,
    private readonly prefixesSpace: boolean,
  ) {}

  /**
   * The tokens of a text, and no others: a token of the sequence's beginning only where the text names it.
   *
   * @param goesOn whether it follows other text
   */
  encode(prompt: PromptText, goesOn = false): EncodedText {
    const bytes = Buffer.from(prompt.text);
    const untrusted = byteSpans(prompt);
    const whole = this.#locate(bytes, { parseSpecial: true, goesOn });
    const specials = this.#specials(whole);
    const markers = new Set(specials.filter((s) => !overlaps(s, untrusted)).map((s) => s.token));
    const isForged = (s: Special) =>
      overlaps(s, untrusted) && (isControl(s) || markers.has(s.token));
    const { tokens, ends } = specials.some(isForged)
      ? this.#apart(bytes, untrusted, goesOn)
      : whole;
    return new EncodedText(prompt.text, tokens, ends);
  }

  /** Where a text, taken alone, would be read as special tokens: places in UTF-16 units. */
  specials(text: string): Span[] {
    const bytes = Buffer.from(text);
    const found = this.#specials(this.#locate(bytes, { parseSpecial: true, goesOn: false }));
    let [at, units] = [0, 0];
    const place = (to: number) => {
      units += bytes.toString("utf8", at, to).length;
      at = to;
      return units;
    };
    return found.map(({ from, to }) => ({ from: place(from), to: place(to) }));
  }

  /** Special tokens of the trusted stretches, and all between them as plain text. */
  #apart(bytes: Buffer, untrusted: readonly Span[], goesOn: boolean): Located {
    const markers = complement(untrusted, bytes.length).flatMap(({ from, to }) =>
      this.#specials(
        this.#locate(bytes.subarray(from, to), { parseSpecial: true, goesOn: false }),
      ).map((s) => ({ ...s, from: s.from + from, to: s.to + from })),
    );
    const markerTokens = new Set(markers.map(({ token }) => token));
    const isForged = (s: Special) => markerTokens.has(s.token) && overlaps(s, untrusted);
    const tokens: number[] = [];
    const ends: number[] = [];
    let at = 0;
    const addPlain = (to: number) => {
      if (to <= at) return;
      const plain = this.#plain(bytes, { from: at, to }, isForged, goesOn && tokens.length === 0);
      tokens.push(...plain.tokens);
      ends.push(...plain.ends);
    };
    for (const { token, attributes, from, to } of markers) {
      addPlain(attributes & stripsLeft ? textEnd(bytes, at, from) : from);
      tokens.push(token);
      ends.push(to);
      at = attributes & stripsRight ? textStart(bytes, to) : to;
    }
    addPlain(bytes.length);
    return { tokens: Int32Array.from(tokens), ends: Int32Array.from(ends) };
  }

  /** A stretch without control tokens. Tokens that the user defined are read all the same: forged ones are cut open. */
  #plain(
    bytes: Buffer,
    { from, to }: Span,
    isForged: (s: Special) => boolean,
    goesOn: boolean,
  ): Located {
    const pieces = this.#locate(bytes.subarray(from, to), { parseSpecial: false, goesOn });
    const located = { tokens: pieces.tokens, ends: pieces.ends.map((end) => end + from) };
    const cuts = this.#specials(located)
      .filter(isForged)
      .map((s) => characterAfter(bytes, s.from));
    if (cuts.length === 0) return located;
    const edges = [from, ...cuts, to];
    const parts = edges.slice(1).map((end, i) => {
      const part = { from: edges[i] as number, to: end };
      return this.#plain(bytes, part, isForged, goesOn || i > 0);
    });
    return {
      tokens: Int32Array.from(parts.flatMap((part) => Array.from(part.tokens))),
      ends: Int32Array.from(parts.flatMap((part) => Array.from(part.ends))),
    };
  }

  #locate(bytes: Buffer, reading: Reading): Located {
    const tokens = this.#tokenize(bytes, reading);
    let at = 0;
    const ends = tokens.map((token) => (at = endOf(this.#entry(token).piece, bytes, at)));
    return { tokens, ends };
  }

  #tokenize(bytes: Uint8Array, { parseSpecial, goesOn }: Reading): Int32Array {
    const read = (text: Uint8Array) => this.vocabulary.tokenize(text, false, parseSpecial);
    if (!goesOn || !this.prefixesSpace) return read(bytes);
    for (const separator of SEPARATORS) {
      const before = read(Buffer.from(separator));
      const tokens = read(Buffer.concat([Buffer.from(separator), bytes]));
      if (before.every((token, i) => tokens[i] === token)) return tokens.subarray(before.length);
    }
    return read(bytes);
  }

  #specials({ tokens, ends }: Located): Special[] {
    const found: Special[] = [];
    tokens.forEach((token, i) => {
      const { attributes, piece } = this.#entry(token);
      const to = ends[i] as number;
      const from = to - piece.length;
      // One without text of its own, such as a token for what is unknown, is not written by anybody.
      if (attributes & SPECIAL && from >= (ends[i - 1] ?? 0)) {
        found.push({ token, attributes, from, to });
      }
    });
    return found;
  }

  #entry(token: number): Entry {
    let entry = this.#entries.get(token);
    if (entry === undefined) {
      const piece = this.vocabulary.piece(token, true);
      entry = { piece, attributes: this.vocabulary.attributes(token) };
      this.#entries.set(token, entry);
    }
    return entry;
  }
}

function isControl({ attributes }: Special): boolean {
  return (attributes & (control | unknown)) !== 0;
}

/** Where the text of a token ends that begins at `at`, or after what was stripped or dropped; `at` where it has none. */
function endOf(piece: Uint8Array, bytes: Buffer, at: number): number {
  const isAt = (place: number, of: Uint8Array) =>
    bytes.subarray(place, place + of.length).equals(of);
  if (isAt(at, piece)) return at + piece.length;
  const rest = piece.subarray(1);
  if (piece[0] === SPACE && isAt(at, rest)) return at + rest.length;
  const start = textStart(bytes, at);
  if (isAt(start, piece)) return start + piece.length;
  const found = bytes.subarray(at, at + MOST_DROPPED + piece.length).indexOf(piece);
  return found < 0 ? at : at + found + piece.length;
}

const isBlank = (byte: number | undefined) =>
  byte === SPACE || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);

/** The first byte from `at` on that is no whitespace. */
function textStart(bytes: Buffer, at: number): number {
  let place = at;
  while (isBlank(bytes[place])) place++;
  return place;
}

/** The end of what is no whitespace within [from, to). */
function textEnd(bytes: Buffer, from: number, to: number): number {
  let place = to;
  while (place > from && isBlank(bytes[place - 1])) place--;
  return place;
}

/** Where the character ends that begins at `at`. */
function characterAfter(bytes: Buffer, at: number): number {
  let place = at + 1;
  while (((bytes[place] ?? 0) & 0xc0) === 0x80) place++;
  return place;
}

function overlaps({ from, to }: Span, spans: readonly Span[]): boolean {
  // The first of the ascending spans that ends behind `from` is the only one to look at.
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle] as Span).to > from) high = middle;
    else low = middle + 1;
  }
  const span = spans[low];
  return span !== undefined && span.from < to;
}

function complement(spans: readonly Span[], length: number): Span[] {
  const edges = [0, ...spans.flatMap(({ from, to }) => [from, to]), length];
  const between: Span[] = [];
  for (let i = 0; i < edges.length; i += 2) {
    const [from, to] = [edges[i] as number, edges[i + 1] as number];
    if (to > from) between.push({ from, to });
  }
  return between;
}

/** The untrusted stretches in bytes of UTF-8. */
function byteSpans({ text, untrusted }: PromptText): Span[] {
  let [at, bytes] = [0, 0];
  const place = (to: number) => {
    bytes += Buffer.byteLength(text.slice(at, to));
    at = to;
    return bytes;
  };
  return untrusted.map(({ from, to }) => ({ from: place(from), to: place(to) }));
}
