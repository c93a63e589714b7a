import { Arguments } from "./arguments.ts";
import { braceFormat } from "./python-format.ts";
import {
  isList,
  isMapping,
  isText,
  listValue,
  textValue,
  truthValue,
  tupleLike,
  wholeValue,
  type Value,
} from "./values.ts";

type TextMethod = (text: string, args: Arguments) => Value;

/** Python's blanks: the separators of ASCII and U+0085 are some, the byte order mark is none. */
// eslint-disable-next-line no-control-regex -- Python counts them
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
/** Where Python's `splitlines` ends a line. */
// eslint-disable-next-line no-control-regex -- Python counts them
const LINE = /\r\n|[\n-\r\x1c-\x1e\x85\u2028\u2029]/g;

/** Python's methods of texts that the interpreter lacks, or has in another way. */
const TEXT_METHODS: Readonly<Record<string, TextMethod>> = {
  strip: (s, args) => textValue(strip(s, args.text(0, "chars"), true, true)),
  lstrip: (s, args) => textValue(strip(s, args.text(0, "chars"), true, false)),
  rstrip: (s, args) => textValue(strip(s, args.text(0, "chars"), false, true)),
  removeprefix: (s, args) => textValue(withoutPrefix(s, args.text(0, "prefix") ?? "")),
  removesuffix: (s, args) => textValue(withoutSuffix(s, args.text(0, "suffix") ?? "")),
  capitalize: (s) => textValue(capitalized(s)),
  title: (s) => textValue(titled(s)),
  swapcase: (s) =>
    textValue(
      s.replace(/\p{L}/gu, (c) => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase())),
    ),
  casefold: (s) => textValue(s.toLowerCase()),
  find: (s, args) => wholeValue(placeIn(s, args, "indexOf")),
  rfind: (s, args) => wholeValue(placeIn(s, args, "lastIndexOf")),
  index: (s, args) => found(placeIn(s, args, "indexOf")),
  rindex: (s, args) => found(placeIn(s, args, "lastIndexOf")),
  count: (s, args) => wholeValue(s.split(args.text(0, "sub") ?? "").length - 1),
  isdigit: (s) => truthValue(/^\p{Nd}+$/u.test(s)),
  isdecimal: (s) => truthValue(/^\p{Nd}+$/u.test(s)),
  isnumeric: (s) => truthValue(/^\p{N}+$/u.test(s)),
  isalpha: (s) => truthValue(/^\p{L}+$/u.test(s)),
  isalnum: (s) => truthValue(/^[\p{L}\p{N}]+$/u.test(s)),
  isspace: (s) => truthValue(s !== "" && Array.from(s).every((c) => SPACES.test(c))),
  isupper: (s) => truthValue(s === s.toUpperCase() && s !== s.toLowerCase()),
  islower: (s) => truthValue(s === s.toLowerCase() && s !== s.toUpperCase()),
  splitlines: (s, args) => listValue(lines(s, args.flag(0, "keepends")).map(textValue)),
  partition: (s, args) => tupleLike(partition(s, args, "indexOf").map(textValue)),
  rpartition: (s, args) => tupleLike(partition(s, args, "lastIndexOf").map(textValue)),
  rsplit: (s, args) => listValue(rsplit(s, args).map(textValue)),
  zfill: (s, args) => {
    const sign = /^[+-]/.exec(s)?.[0] ?? "";
    return textValue(
      sign + s.slice(sign.length).padStart((args.number(0, "width") ?? 0) - sign.length, "0"),
    );
  },
  ljust: (s, args) =>
    textValue(s.padEnd(args.number(0, "width") ?? 0, args.text(1, "fillchar") ?? " ")),
  rjust: (s, args) =>
    textValue(s.padStart(args.number(0, "width") ?? 0, args.text(1, "fillchar") ?? " ")),
  center: (s, args) =>
    textValue(centered(s, args.number(0, "width") ?? 0, args.text(1, "fillchar"))),
  join: (s, args) => {
    const items = args.get(0, "iterable");
    if (!isList(items)) return args.refuse("what is joined must be a list");
    return textValue(
      items.value
        .map((item) => (isText(item) ? item.value : args.refuse("expected strings")))
        .join(s),
    );
  },
  format: (s, args) => textValue(braceFormat(s, args.all, args.byName)),
};

/** The names of these methods. */
export const METHOD_NAMES: readonly string[] = [...Object.keys(TEXT_METHODS), "items"];

/** Calls a method of a value: of a text one of ours, of a list what it has besides, of a mapping what lies there. */
export function callMethod(
  name: string,
  value: Value,
  args: readonly Value[],
  call: (callee: Value) => Value,
): Value {
  const parameters = new Arguments(name, args);
  const method = TEXT_METHODS[name];
  if (isText(value) && method !== undefined) return method(value.value, parameters);
  if (isList(value) && (name === "index" || name === "count")) {
    const wanted = parameters.get(0, "value");
    const same = value.value.map(
      (item) => item.type === wanted?.type && item.value === wanted.value,
    );
    return name === "count" ? wholeValue(same.filter(Boolean).length) : found(same.indexOf(true));
  }
  if (name === "items" && isMapping(value)) return pairsOf(value);
  const member = isMapping(value) ? value.value.get(name) : undefined;
  if (member === undefined) throw new Error(`'${value.type}' has no method ${name}`);
  return call(member);
}

/** A mapping's keys and values, in pairs. */
export function pairsOf(value: Value): Value {
  if (!isMapping(value)) throw new Error(`'${value.type}' has no items`);
  return listValue(Array.from(value.value, ([key, entry]) => tupleLike([textValue(key), entry])));
}

/** Python's `strip`: blanks, or every one of some characters. */
export function strip(
  text: string,
  chars: string | undefined,
  left: boolean,
  right: boolean,
): string {
  const isOut = (c: string) => (chars === undefined ? SPACES.test(c) : chars.includes(c));
  const characters = Array.from(text);
  let [from, to] = [0, characters.length];
  while (left && from < to && isOut(characters[from] as string)) from++;
  while (right && to > from && isOut(characters[to - 1] as string)) to--;
  return characters.slice(from, to).join("");
}

export function capitalized(text: string): string {
  const [first = "", ...rest] = Array.from(text);
  return first.toUpperCase() + rest.join("").toLowerCase();
}

export function titled(text: string): string {
  return text.replace(/\p{L}+/gu, capitalized);
}

export function centered(text: string, width: number, fill = " "): string {
  const missing = Math.max(0, width - text.length);
  // As CPython rounds: to the left where both are odd.
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return text.padStart(text.length + left, fill).padEnd(Math.max(width, text.length), fill);
}

function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}

function withoutSuffix(text: string, suffix: string): string {
  return suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
}

/** Places count characters, as Python's do. */
function placeIn(text: string, args: Arguments, search: "indexOf" | "lastIndexOf"): number {
  const wanted = args.text(0, "sub") ?? args.refuse("a string is needed");
  const from = args.number(1, "start") ?? 0;
  const characters = Array.from(text);
  const begin = characters.slice(0, from).join("").length;
  const at = text.slice(begin)[search](wanted);
  return at < 0 ? -1 : Array.from(text.slice(0, begin + at)).length;
}

function found(place: number): Value {
  if (place < 0) throw new Error("substring not found");
  return wholeValue(place);
}

function lines(text: string, keepEnds: boolean): string[] {
  const parts: string[] = [];
  let at = 0;
  for (const { index, 0: end } of text.matchAll(LINE)) {
    parts.push(text.slice(at, keepEnds ? index + end.length : index));
    at = index + end.length;
  }
  return at < text.length ? [...parts, text.slice(at)] : parts;
}

function partition(text: string, args: Arguments, search: "indexOf" | "lastIndexOf"): string[] {
  const separator = args.text(0, "sep") ?? args.refuse("a separator is needed");
  const at = text[search](separator);
  if (at < 0) return search === "indexOf" ? [text, "", ""] : ["", "", text];
  return [text.slice(0, at), separator, text.slice(at + separator.length)];
}

function rsplit(text: string, args: Arguments): string[] {
  const separator = args.text(0, "sep");
  const most = args.number(1, "maxsplit") ?? -1;
  const isBlank = separator === undefined;
  const parts = isBlank ? text.split(/\s+/).filter((part) => part !== "") : text.split(separator);
  if (most < 0 || parts.length <= most + 1) return parts;
  const last = parts.slice(parts.length - most);
  if (!isBlank) return [parts.slice(0, parts.length - most).join(separator), ...last];
  let rest = text.trimEnd();
  for (const part of last.toReversed()) rest = rest.slice(0, rest.length - part.length).trimEnd();
  return [rest, ...last];
}
