import { type Arguments, attributeOf, itemsOf } from "./arguments.ts";
import { capitalized, centered, pairsOf, strip } from "./methods.ts";
import { percentFormatAll } from "./python-format.ts";
import {
  isNumber,
  isText,
  isWhole,
  listValue,
  realValue,
  strOf,
  textValue,
  tupleLike,
  undefinedValue,
  wholeValue,
  type Value,
} from "./values.ts";

export type Filter = (value: Value, args: Arguments) => Value;

/** Jinja's filters that the interpreter lacks, or has in another way. */
export const FILTERS: Readonly<Record<string, Filter>> = {
  string: (value) => textValue(strOf(value)),
  capitalize: (value) => textValue(capitalized(strOf(value))),
  // Words begin after blanks, hyphens and opening brackets: "they're" is one.
  title: (value) => textValue(strOf(value).replace(/[^-\s({[<]+/g, capitalized)),
  escape: (value) => textValue(escaped(strOf(value))),
  e: (value) => textValue(escaped(strOf(value))),
  items: (value) => pairsOf(value),
  dictsort: (value, args) => {
    const at = args.text(1, "by") === "value" ? 1 : 0;
    const sorted = itemsOf(pairsOf(value), textValue).toSorted((a, b) => {
      return compare(attributeOf(a, at), attributeOf(b, at));
    });
    return listValue(args.flag(2, "reverse") ? sorted.toReversed() : sorted);
  },
  length: (value) => lengthOf(value),
  count: (value) => lengthOf(value),
  upper: (value) => textValue(strOf(value).toUpperCase()),
  lower: (value) => textValue(strOf(value).toLowerCase()),
  trim: (value, args) => textValue(strip(strOf(value), args.text(0, "chars"), true, true)),
  center: (value, args) => textValue(centered(strOf(value), args.number(0, "width") ?? 80)),
  wordcount: (value) => wholeValue(strOf(value).match(/\w+/g)?.length ?? 0),
  join: (value, args) => {
    const attribute = pathOf(args, 1);
    const items = itemsOf(value, textValue);
    const shown =
      attribute === undefined ? items : items.map((item) => attributeOf(item, attribute));
    return textValue(shown.map(strOf).join(args.text(0, "d") ?? ""));
  },
  format: (value, args) => textValue(percentFormatAll(strOf(value), args.all, args.byName)),
  first: (value) => itemsOf(value, textValue)[0] ?? undefinedValue(),
  last: (value) => itemsOf(value, textValue).at(-1) ?? undefinedValue(),
  list: (value) => listValue(itemsOf(value, textValue)),
  reverse: (value) =>
    isText(value)
      ? textValue(Array.from(value.value).reverse().join(""))
      : listValue(itemsOf(value, textValue).toReversed()),
  max: (value, args) => best(value, args, 1),
  min: (value, args) => best(value, args, -1),
  sum: (value, args) => {
    const attribute = pathOf(args, 0);
    const items = itemsOf(value, textValue);
    const values =
      attribute === undefined ? items : items.map((item) => attributeOf(item, attribute));
    const begin = args.get(1, "start");
    const total = [...(begin === undefined ? [] : [begin]), ...values].reduce((sum, item) => {
      return sum + (isNumber(item) ? item.value : args.refuse("its items must be numbers"));
    }, 0);
    return values.some((item) => item.type === "FloatValue") ? realValue(total) : wholeValue(total);
  },
  batch: (value, args) => {
    const size = args.number(0, "linecount") ?? args.refuse("a number of items is needed");
    const filler = args.get(1, "fill_with");
    const items = itemsOf(value, textValue);
    const rows: Value[] = [];
    for (let i = 0; i < items.length; i += size) {
      const row = items.slice(i, i + size);
      while (filler !== undefined && row.length < size) row.push(filler);
      rows.push(listValue(row));
    }
    return listValue(rows);
  },
  groupby: (value, args) => {
    const attribute = pathOf(args, 0) ?? args.refuse("an attribute is needed");
    const fallback = args.get(1, "default");
    const groups = new Map<string, { key: Value; items: Value[] }>();
    for (const item of itemsOf(value, textValue)) {
      const found = attributeOf(item, attribute);
      const key = found.type === "UndefinedValue" ? (fallback ?? found) : found;
      // Texts that differ in case alone are one group.
      const name = isText(key) ? key.value.toLowerCase() : strOf(key);
      const group = groups.get(name) ?? { key, items: [] };
      group.items.push(item);
      groups.set(name, group);
    }
    const sorted = [...groups.values()].sort((a, b) => compare(a.key, b.key));
    return listValue(sorted.map(({ key, items }) => tupleLike([key, listValue(items)])));
  },
  round: (value, args) => {
    if (!isNumber(value)) return args.refuse("a number is needed");
    const precision = args.number(0, "precision") ?? 0;
    const method = args.text(1, "method") ?? "common";
    if (method === "common") {
      // Python's round() leaves whole numbers whole.
      const number = isWhole(value) ? wholeValue : realValue;
      return number(rounded(value.value, precision));
    }
    const scale = 10 ** precision;
    const x = value.value * scale;
    return realValue((method === "ceil" ? Math.ceil(x) : Math.floor(x)) / scale);
  },
};

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => ENTITIES[c] as string);
}

/** Python's rounding: of the number as it is stored, and what lies just between to the even one. */
function rounded(x: number, precision: number): number {
  const scale = 10 ** precision;
  const scaled = x * scale;
  const floor = Math.floor(scaled);
  const even = (floor % 2 === 0 ? floor : floor + 1) / scale;
  if (precision < 0) return scaled - floor === 0.5 ? even : Math.round(scaled) / scale;
  // All digits of the number, which toFixed gives: 2.675 is less than it looks.
  const [, digits = ""] = x.toFixed(Math.min(100, precision + 60)).split(".");
  return /^50*$/.test(digits.slice(precision)) ? even : Number(x.toFixed(Math.min(100, precision)));
}

/** The length of a text in characters, as Python counts them. */
function lengthOf(value: Value): Value {
  return wholeValue(value.type === "UndefinedValue" ? 0 : itemsOf(value, textValue).length);
}

function pathOf(args: Arguments, at: number): string | number | undefined {
  const value = args.get(at, "attribute");
  if (value === undefined) return undefined;
  return isText(value) || isNumber(value)
    ? value.value
    : args.refuse("the attribute must be a name");
}

/** The largest of the items, or the smallest where `sign` is −1. */
function best(value: Value, args: Arguments, sign: 1 | -1): Value {
  const attribute = pathOf(args, 1);
  const ranked = (item: Value) => (attribute === undefined ? item : attributeOf(item, attribute));
  const [first, ...rest] = itemsOf(value, textValue);
  if (first === undefined) return undefinedValue();
  return rest.reduce(
    (so, item) => (sign * compare(ranked(item), ranked(so)) > 0 ? item : so),
    first,
  );
}

/** Compares as Jinja does: numbers by value, texts without regard to case. */
function compare(a: Value, b: Value): number {
  if (isText(a) && isText(b)) {
    const [x, y] = [a.value.toLowerCase(), b.value.toLowerCase()];
    return x < y ? -1 : Number(x > y);
  }
  return Number(a.value) - Number(b.value);
}
