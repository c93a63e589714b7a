import { Environment, Interpreter, type Scope, type Value } from "./interpreter.ts";

export type { Value };

type Callable = (args: Value[], scope: Scope) => Value;

const scratch = new Environment();

/** The interpreter's class of what a JavaScript value becomes; the package exports none of them. */
function classOf(name: string, sample: unknown): new (value?: unknown) => Value {
  return scratch.set(name, sample).constructor as new (value?: unknown) => Value;
}

const [Text, Whole, Real, Truth, List, Mapping, Callee, Nothing] = [
  classOf("text", ""),
  classOf("whole", 1),
  classOf("real", 0.5),
  classOf("truth", true),
  classOf("list", []),
  classOf("mapping", {}),
  classOf("callee", () => null),
  classOf("nothing", undefined),
];

/** Tuples are made by literals alone. */
const Tuple = tupleClass();

export const textValue = (value: string): Value => new Text(value);
export const wholeValue = (value: number): Value => new Whole(value);
export const realValue = (value: number): Value => new Real(value);
export const truthValue = (value: boolean): Value => new Truth(value);
export const tupleLike = (values: readonly Value[]): Value => new Tuple([...values]);
export const listValue = (values: readonly Value[]): Value => new List([...values]);
export const mappingValue = (entries: ReadonlyMap<string, Value>): Value =>
  new Mapping(new Map(entries));
export const functionValue = (value: Callable): Value => new Callee(value);
export const undefinedValue = (): Value => new Nothing();

function tupleClass(): new (values: Value[]) => Value {
  const interpreter = new Interpreter(scratch);
  const literal = { type: "TupleLiteral", value: [] };
  return interpreter.evaluate(literal, scratch).constructor as new (values: Value[]) => Value;
}

export const isText = (value: Value | undefined): value is Value & { readonly value: string } =>
  value?.type === "StringValue";
export const isNumber = (value: Value | undefined): value is Value & { readonly value: number } =>
  value?.type === "IntegerValue" || value?.type === "FloatValue";
export const isWhole = (value: Value): boolean => value.type === "IntegerValue";
export const isList = (value: Value | undefined): value is Value & { readonly value: Value[] } =>
  value?.type === "ArrayValue" || value?.type === "TupleValue";
export const isMapping = (
  value: Value | undefined,
): value is Value & { readonly value: Map<string, Value> } =>
  ["ObjectValue", "NamespaceValue", "KeywordArgumentsValue"].includes(value?.type ?? "");

/** Whether a value counts as true in Python. */
export function isTrue(value: Value): boolean {
  if (isList(value)) return value.value.length > 0;
  if (isMapping(value)) return value.value.size > 0;
  return Boolean(value.value);
}

/** Python's `in`: an item of a list, a part of a text, a key of a mapping. */
export function contains(container: Value, item: Value): boolean {
  if (isList(container)) return container.value.some((other) => areEqual(other, item));
  if (isText(container)) {
    if (isText(item)) return container.value.includes(item.value);
    throw new Error(`a text is looked for in a text, not ${item.type}`);
  }
  if (isMapping(container)) return isText(item) && container.value.has(item.value);
  if (container.type === "UndefinedValue") return false;
  throw new Error(`${container.type} has no items`);
}

/** Python's `==`: numbers by their value, lists and mappings by what they hold. */
function areEqual(a: Value, b: Value): boolean {
  const asNumber = ({ type, value }: Value) => (type === "BooleanValue" ? Number(value) : value);
  const isNumeric = (v: Value) => isNumber(v) || v.type === "BooleanValue";
  if (isNumeric(a) && isNumeric(b)) return asNumber(a) === asNumber(b);
  if (isList(a) && isList(b)) {
    const { value } = b;
    return (
      a.type === b.type &&
      a.value.length === value.length &&
      a.value.every((item, i) => areEqual(item, value[i] as Value))
    );
  }
  if (isMapping(a) && isMapping(b)) {
    const { value } = b;
    return (
      a.value.size === value.size &&
      [...a.value].every(([key, item]) => {
        const other = value.get(key);
        return other !== undefined && areEqual(item, other);
      })
    );
  }
  return a.type === b.type && a.value === b.value;
}

/** A value as Python's `str` writes it; Jinja writes what is undefined as nothing. */
export function strOf(value: Value): string {
  if (isText(value)) return value.value;
  return value.type === "UndefinedValue" ? "" : reprOf(value);
}

/** A value as Python's `repr` writes it. */
function reprOf(value: Value): string {
  if (isText(value)) return quoted(value.value);
  if (value.type === "BooleanValue") return value.value === true ? "True" : "False";
  if (value.type === "NullValue") return "None";
  if (value.type === "UndefinedValue") return "Undefined";
  if (value.type === "FloatValue") return realText(value.value as number);
  if (isList(value)) {
    const items = value.value.map(reprOf).join(", ");
    if (value.type !== "TupleValue") return `[${items}]`;
    return value.value.length === 1 ? `(${items},)` : `(${items})`;
  }
  if (isMapping(value)) {
    return `{${Array.from(value.value, ([k, v]) => `${quoted(k)}: ${reprOf(v)}`).join(", ")}}`;
  }
  return String(value.value);
}

/** A number of Python's type float: `3.0`, `1e+16`. */
function realText(x: number): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [digits = "", exponent = ""] = x.toExponential().split("e");
    return `${digits}e${exponent.charAt(0)}${exponent.slice(1).padStart(2, "0")}`;
  }
  if (Object.is(x, -0)) return "-0.0";
  return Number.isInteger(x) ? `${x}.0` : String(x);
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  // eslint-disable-next-line no-control-regex -- Python escapes them, too
  const escaped = text.replace(/[\\\n\r\t\u0000-\u001f\u007f]/g, (c) => {
    return ESCAPES[c] ?? `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}
