/**
 * Text as Python sees it, since the published scorers are Python: its whitespace, digits and words are not
 * JavaScript's (`\s` holds U+FEFF, `\d` only ASCII, `\w` no accents).
 */
const SPACE =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACES = new RegExp(`[${SPACE}]+`, "u");
const OUTER_SPACE = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "gu");

/** `str.split()`: words between runs of whitespace. */
export function words(text: string): string[] {
  return text.split(SPACES).filter((word) => word !== "");
}

/** `str.strip()` */
export function strip(text: string): string {
  return text.replace(OUTER_SPACE, "");
}

/** `re.findall(r"\d+", text)` */
export function numbers(text: string): string[] {
  return text.match(/\p{Nd}+/gu) ?? [];
}

/** `string.punctuation` */
const PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const ASCII_PUNCTUATION = new Set(PUNCTUATION);
/** What LongBench removes from Chinese answers besides; an opening title mark stays. */
const CHINESE_PUNCTUATION = new Set(
  PUNCTUATION +
    "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏.",
);
const WORD = "[\\p{L}\\p{N}_]";
const ARTICLES = new RegExp(`(?<!${WORD})(?:a|an|the)(?!${WORD})`, "gu");

function without(text: string, characters: ReadonlySet<string>): string {
  return Array.from(text)
    .filter((c) => !characters.has(c))
    .join("");
}

/** An English answer in lower case, without punctuation, articles and repeated whitespace (SQuAD's rule). */
export function normalizeAnswer(text: string): string {
  const plain = without(text.toLowerCase(), ASCII_PUNCTUATION);
  return words(plain.replace(ARTICLES, " ")).join(" ");
}

/** A Chinese answer in lower case, without punctuation and whitespace. */
export function normalizeChineseAnswer(text: string): string {
  return words(without(text.toLowerCase(), CHINESE_PUNCTUATION)).join("");
}

/** `round(value)`: to the nearest whole number, a half to the even one. */
export function roundEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** `round(value, 2)`: by the exact value of the double, a half to the even hundredth. */
export function round2(value: number): number {
  // A double lies half-way between hundredths only where it is an odd number of eighths.
  const isTie = Number.isInteger(value * 8) && (value * 8) % 2 !== 0;
  return isTie ? roundEven(value * 100) / 100 : Number(value.toFixed(2));
}
