import { isList, isMapping, isNumber, isText, strOf, type Value } from "./values.ts";

const PERCENT = /%(?:\((\w+)\))?([-+ 0]*)(\d+)?(?:\.(\d+))?([sdifgreExX%])/g;

/** Python's `template % values`. */
export function percentFormat(template: string, parameters: Value): string {
  const values =
    isList(parameters) && parameters.type === "TupleValue" ? parameters.value : [parameters];
  return percentFormatAll(template, values);
}

/** The same with the values one by one, as Jinja's filter `format` takes them. */
export function percentFormatAll(
  template: string,
  values: readonly Value[],
  byName: ReadonlyMap<string, Value> = new Map(),
): string {
  let next = 0;
  const [first] = values;
  return template.replace(PERCENT, (_, name, flags, width, precision, kind) => {
    if (kind === "%") return "%";
    const named = isMapping(first) ? first.value : byName;
    const value = name === undefined ? values[next++] : named.get(name as string);
    if (value === undefined) throw new Error("not enough arguments for format string");
    return padded(
      conversion(value, kind as string, precision === undefined ? undefined : Number(precision)),
      {
        flags: flags as string,
        width: Number(width ?? 0),
        isNumeric: kind !== "s" && kind !== "r",
      },
    );
  });
}

function conversion(value: Value, kind: string, precision: number | undefined): string {
  if (kind === "s") return strOf(value).slice(0, precision);
  if (!isNumber(value) && value.type !== "BooleanValue") {
    throw new Error(`%${kind} format: a number is required, not ${value.type}`);
  }
  const x = Number(value.value);
  if (kind === "d" || kind === "i") return String(Math.trunc(x));
  if (kind === "x") return Math.trunc(x).toString(16);
  if (kind === "X") return Math.trunc(x).toString(16).toUpperCase();
  if (kind === "f") return x.toFixed(precision ?? 6);
  if (kind === "e" || kind === "E") {
    const [digits = "", exponent = ""] = x.toExponential(precision ?? 6).split("e");
    const text = `${digits}e${exponent.charAt(0)}${exponent.slice(1).padStart(2, "0")}`;
    return kind === "E" ? text.toUpperCase() : text;
  }
  if (kind === "g") return String(Number(x.toPrecision(precision ?? 6)));
  return strOf(value);
}

interface Padding {
  readonly flags: string;
  readonly width: number;
  readonly isNumeric: boolean;
}

function padded(text: string, { flags, width, isNumeric }: Padding): string {
  const isSigned = isNumeric && !text.startsWith("-");
  const sign = isSigned && flags.includes("+") ? "+" : isSigned && flags.includes(" ") ? " " : "";
  if (flags.includes("-")) return (sign + text).padEnd(width);
  if (flags.includes("0") && isNumeric) {
    const minus = text.startsWith("-") ? "-" : sign;
    return minus + text.replace("-", "").padStart(width - minus.length, "0");
  }
  return (sign + text).padStart(width);
}

const BRACES = /\{\{|\}\}|\{(\w*)((?:\.\w+|\[[^\]]+\])*)(?::([^{}]*))?\}/g;

/** Python's `template.format(…)`, with widths, alignment and numbers as templates use them. */
export function braceFormat(
  template: string,
  positional: readonly Value[],
  named: ReadonlyMap<string, Value>,
): string {
  let next = 0;
  return template.replace(
    BRACES,
    (whole, name: string | undefined, path: string, spec: string | undefined) => {
      if (whole === "{{" || whole === "}}") return whole.charAt(0);
      const key = name === undefined || name === "" ? String(next++) : name;
      let value = /^\d+$/.test(key) ? positional[Number(key)] : named.get(key);
      for (const [, dotted, bracketed] of path.matchAll(/\.(\w+)|\[([^\]]+)\]/g)) {
        const part = dotted ?? bracketed ?? "";
        value = isMapping(value)
          ? value.value.get(part)
          : isList(value)
            ? value.value[Number(part)]
            : undefined;
      }
      if (value === undefined) throw new Error(`format: there is no argument ${key}${path}`);
      return spec === undefined || spec === "" ? strOf(value) : specified(value, spec);
    },
  );
}

/** A value by Python's format specification: `>8`, `05d`, `.2f`, `,`. */
function specified(value: Value, spec: string): string {
  const [, fill = " ", align, zero, width, comma, precision, kind] =
    /^(?:(.)?([<>^]))?(0)?(\d+)?(,)?(?:\.(\d+))?([sdfx%])?$/.exec(spec) ?? [];
  const isNumeric = isNumber(value);
  let text = isText(value)
    ? value.value.slice(0, precision === undefined ? undefined : Number(precision))
    : strOf(value);
  if (isNumeric) {
    const digits = precision === undefined ? undefined : Number(precision);
    if (kind === "f") text = value.value.toFixed(digits ?? 6);
    else if (kind === "%") text = `${(100 * value.value).toFixed(digits ?? 6)}%`;
    else if (kind === "x") text = value.value.toString(16);
    else if (digits !== undefined) text = String(Number(value.value.toPrecision(digits)));
    if (comma !== undefined) text = text.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  }
  const n = Number(width ?? 0);
  const filler = zero === undefined ? fill : "0";
  if (align === "^") {
    const left = Math.floor((n - text.length) / 2);
    return text.padStart(text.length + Math.max(0, left), filler).padEnd(n, filler);
  }
  const isRight = align === ">" || (align === undefined && isNumeric);
  return isRight ? text.padStart(n, filler) : text.padEnd(n, filler);
}
