import { PyramidKVError } from "../errors.ts";
import type { PromptText, Span } from "./prompt-text.ts";

/** Unicode's private use area: nothing in it has a meaning of its own. */
const [FIRST_PRIVATE, LAST_PRIVATE] = [0xe000, 0xf8ff];

/** Characters of the private use area that stand for letters, so that a template does not see what they would spell. */
export class Marks {
  readonly #byLetter = new Map<string, string>();
  #code = FIRST_PRIVATE;

  /** @param texts hold none of the characters that are taken */
  constructor(private readonly texts: string) {}

  /** The text with the first letter of each span hidden. */
  hide(text: string, spans: readonly Span[]): string {
    let [hidden, at] = ["", 0];
    for (const { from } of spans) {
      hidden += text.slice(at, from) + this.#markOf(text.charAt(from));
      at = from + 1;
    }
    return hidden + text.slice(at);
  }

  /** A text with its letters again: where they were hidden, it is untrusted. */
  restore(text: string): PromptText {
    const letters = new Map(Array.from(this.#byLetter, ([letter, mark]) => [mark, letter]));
    const untrusted: Span[] = [];
    const restored = text.replace(/[\uE000-\uF8FF]/g, (mark, at: number) => {
      const letter = letters.get(mark);
      if (letter !== undefined) untrusted.push({ from: at, to: at + 1 });
      return letter ?? mark;
    });
    return { text: restored, untrusted };
  }

  #markOf(letter: string): string {
    const mark = this.#byLetter.get(letter) ?? this.#unused();
    this.#byLetter.set(letter, mark);
    return mark;
  }

  #unused(): string {
    for (; this.#code <= LAST_PRIVATE; this.#code++) {
      const character = String.fromCharCode(this.#code);
      if (this.texts.includes(character)) continue;
      this.#code++;
      return character;
    }
    throw new PyramidKVError("USAGE", "the messages hold all characters of Unicode's private area");
  }
}
