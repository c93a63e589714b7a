import {
  isList,
  isMapping,
  isNumber,
  isText,
  isTrue,
  undefinedValue,
  type Value,
} from "./values.ts";

/** What a filter or a method is called with, positional and by name. */
export class Arguments {
  private readonly positional: readonly Value[];
  private readonly named: ReadonlyMap<string, Value>;

  constructor(
    private readonly of: string,
    args: readonly Value[],
  ) {
    const last = args.at(-1);
    const isNamed = last?.type === "KeywordArgumentsValue" && isMapping(last);
    this.positional = isNamed ? args.slice(0, -1) : args;
    this.named = isNamed ? last.value : new Map<string, Value>();
  }

  get(at: number, name: string): Value | undefined {
    const value = this.positional[at] ?? this.named.get(name);
    return value?.type === "NullValue" ? undefined : value;
  }

  get all(): readonly Value[] {
    return this.positional;
  }

  get byName(): ReadonlyMap<string, Value> {
    return this.named;
  }

  text(at: number, name: string): string | undefined {
    const value = this.get(at, name);
    if (value === undefined || isText(value)) return value?.value;
    return this.refuse(`${name} must be a string`);
  }

  number(at: number, name: string): number | undefined {
    const value = this.get(at, name);
    if (value === undefined || isNumber(value)) return value?.value;
    return this.refuse(`${name} must be a number`);
  }

  flag(at: number, name: string): boolean {
    const value = this.get(at, name);
    return value !== undefined && isTrue(value);
  }

  refuse(why: string): never {
    throw new Error(`${this.of}: ${why}`);
  }
}

/** The values of a list, the characters of a text, the keys of a mapping. */
export function itemsOf(value: Value, toValue: (text: string) => Value): readonly Value[] {
  if (isList(value)) return value.value;
  if (isText(value)) return Array.from(value.value, toValue);
  if (isMapping(value)) return Array.from(value.value.keys(), toValue);
  throw new Error(`${value.type} has no items`);
}

/** `details.priority` or `0` of a value. */
export function attributeOf(value: Value, path: string | number): Value {
  return String(path)
    .split(".")
    .reduce<Value>((at, part) => {
      const found = isMapping(at)
        ? at.value.get(part)
        : isList(at)
          ? at.value.at(Number(part))
          : undefined;
      return found ?? undefinedValue();
    }, value);
}
