/** Characters that a template's JSON or Python's repr write in another way, or that separate words: they stay. */
const KEPT = /[\s"'\\]/;
const LOWER = "abcdefghijklmnopqrstuvwxyz";
/** Each character stands for the next one of its class, so that different texts stay different, and case and order nearly. */
const CLASSES = [LOWER, LOWER.toUpperCase(), "0123456789", "!#$%&()*+,-./:;<=>?@[]^_`{|}~"];

const OTHERS = new Map(
  CLASSES.flatMap((of) => Array.from(of, (c, i) => [c, of[(i + 1) % of.length] as string])),
);

/** Another character in the place of this one (a UTF-16 unit), always the same; itself where it has to stay. */
export function otherCharacter(c: string): string {
  const known = OTHERS.get(c);
  if (known !== undefined) return known;
  const code = c.charCodeAt(0);
  // Halves of pairs stay halves of their kind.
  const other = String.fromCharCode(code ^ 1);
  return code < 0x80 || KEPT.test(c) || KEPT.test(other) ? c : other;
}

/** A text with another character in the place of each. */
export function disguised(text: string): string {
  return Array.from({ length: text.length }, (_, i) => otherCharacter(text.charAt(i))).join("");
}
