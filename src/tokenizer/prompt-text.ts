import { describeValue, PyramidKVError } from "../errors.ts";

/** A stretch of a text, [from, to). */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A prompt's text, and which stretches of it somebody other than the template wrote. */
export interface PromptText {
  readonly text: string;
  /** Ascending places in `text`, in UTF-16 units: what looks like a control token there is none. */
  readonly untrusted: readonly Span[];
}

/** A text that nobody vouches for. */
export function untrustedText(text: string): PromptText {
  return { text, untrusted: text === "" ? [] : [{ from: 0, to: text.length }] };
}

/** One text behind the other. */
export function joinTexts(first: PromptText, second: PromptText): PromptText {
  const by = first.text.length;
  const moved = second.untrusted.map(({ from, to }) => ({ from: from + by, to: to + by }));
  return { text: first.text + second.text, untrusted: [...first.untrusted, ...moved] };
}

/** What is left of a text from `place` on. */
export function textFrom({ text, untrusted }: PromptText, place: number): PromptText {
  const rest = untrusted.filter(({ to }) => to > place);
  return {
    text: text.slice(place),
    untrusted: rest.map(({ from, to }) => ({ from: Math.max(0, from - place), to: to - place })),
  };
}

/** Throws `USAGE` unless a value is well-formed Unicode text. */
export function requireUnicode(text: unknown): asserts text is string {
  if (typeof text !== "string") {
    throw new PyramidKVError("USAGE", `a text was expected, got ${describeValue(text)}`);
  }
  if (!text.isWellFormed()) {
    throw new PyramidKVError("USAGE", "the text holds half of a surrogate pair: not valid Unicode");
  }
}
