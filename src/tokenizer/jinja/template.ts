import { Environment, Interpreter, parse, tokenize, type Node, type Scope } from "./interpreter.ts";
import { Arguments, attributeOf, itemsOf } from "./arguments.ts";
import { FILTERS, type Filter } from "./filters.ts";
import { callMethod, METHOD_NAMES } from "./methods.ts";
import { percentFormat } from "./python-format.ts";
import { strftime } from "./python-time.ts";
import { rewriteSource } from "./rewrite-source.ts";
import { PARENTHESES, rewriteTokens } from "./rewrite-tokens.ts";
import { CALLS, functionName, rewriteTree } from "./rewrite-tree.ts";
import {
  contains,
  functionValue,
  isList,
  isMapping,
  isNumber,
  isText,
  isTrue,
  listValue,
  mappingValue,
  realValue,
  strOf,
  textValue,
  truthValue,
  undefinedValue,
  wholeValue,
  type Value,
} from "./values.ts";

/**
 * A Jinja template as chat templates are written, rendered as Python's Jinja does in transformers. It is
 * `@huggingface/jinja`, with what that lacks or does in another way.
 */
export class JinjaTemplate {
  readonly #program: Node;

  /** Throws where the template is not understood. */
  constructor(source: string) {
    const tokens = tokenize(rewriteSource(source), { lstrip_blocks: true, trim_blocks: true });
    const program = parse(rewriteTokens(tokens));
    this.#program = rewriteTree(program);
  }

  render(items: Readonly<Record<string, unknown>>, now = new Date()): string {
    const scope = new Environment();
    for (const [name, value] of Object.entries(globals(now))) scope.set(name, value);
    for (const [name, run] of Object.entries(FUNCTIONS)) scope.setVariable(name, run);
    for (const [name, value] of Object.entries(items)) scope.set(name, value);
    return String(new Interpreter(scope).run(this.#program).value);
  }
}

function globals(now: Date): Readonly<Record<string, unknown>> {
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    range,
    raise_exception: (message: unknown) => {
      throw new Error(String(message));
    },
    strftime_now: (format: unknown) => strftime(now, String(format)),
  };
}

/** Python's `range`, as long as a template can need. */
function range(first: number, end?: number, step = 1): number[] {
  const [from, to] = end === undefined ? [0, first] : [first, end];
  if (step === 0) throw new Error("range() step must not be zero");
  const n = Math.max(0, Math.ceil((to - from) / step));
  if (!(n <= MOST_ROUNDS)) throw new Error(`range() is longer than ${MOST_ROUNDS}`);
  return Array.from({ length: n }, (_, i) => from + i * step);
}

/** The largest range that Jinja's sandbox makes. */
const MOST_ROUNDS = 100_000;

const FUNCTIONS: Readonly<Record<string, Value>> = {
  ...Object.fromEntries(
    Object.entries(FILTERS).map(([name, run]) => [
      functionName("filter", name),
      functionValue(([operand = undefinedValue(), ...args]) =>
        run(operand, new Arguments(name, args)),
      ),
    ]),
  ),
  ...Object.fromEntries(
    METHOD_NAMES.map((name) => [
      functionName("method", name),
      functionValue(([object = undefinedValue(), ...args], scope) =>
        callMethod(name, object, args, (callee) => called(callee, args, scope)),
      ),
    ]),
  ),
  [PARENTHESES]: functionValue(([value = undefinedValue()]) => value),
  [CALLS.text]: functionValue(([value = undefinedValue()]) => textValue(strOf(value))),
  [CALLS.join]: functionValue(([a, b]) => textValue(strOf(a as Value) + strOf(b as Value))),
  [CALLS.modulo]: functionValue(([a, b]) => modulo(a as Value, b as Value)),
  [CALLS.times]: functionValue(([a, b]) => times(a as Value, b as Value)),
  [CALLS.cycle]: functionValue(([index, ...values]) => {
    return values[Number(index?.value) % values.length] ?? undefinedValue();
  }),
  [CALLS.map]: functionValue(([operand = undefinedValue(), name, ...args], scope) =>
    listValue(itemsIn(operand).map((item) => filtered(item, strOf(name as Value), args, scope))),
  ),
  [CALLS.select]: choosing({ keeps: true, byAttribute: false }),
  [CALLS.reject]: choosing({ keeps: false, byAttribute: false }),
  [CALLS.selectAttribute]: choosing({ keeps: true, byAttribute: true }),
  [CALLS.rejectAttribute]: choosing({ keeps: false, byAttribute: true }),
  [CALLS.each]: functionValue(([operand = undefinedValue()]) =>
    isList(operand) || isMapping(operand) ? operand : listValue(itemsIn(operand)),
  ),
  [CALLS.isIn]: functionValue(([item, container]) =>
    truthValue(contains(container as Value, item as Value)),
  ),
  [CALLS.not]: functionValue(([value]) => truthValue(!isTrue(value as Value))),
  [CALLS.rows]: functionValue(([operand = undefinedValue()]) =>
    listValue(itemsIn(operand).map((item) => (isList(item) ? listValue(item.value) : item))),
  ),
  dict: functionValue((args) => mappingValue(new Arguments("dict", args).byName)),
};

/** A filter of the items that pass a test, or of the others; `byAttribute`, of those of which a part does. */
function choosing({ keeps, byAttribute }: { keeps: boolean; byAttribute: boolean }): Value {
  return functionValue(([operand = undefinedValue(), ...args], scope) => {
    const [path, ...rest] = args;
    const test = byAttribute ? rest : args;
    const tested = (item: Value) => (byAttribute ? attributeOf(item, strOf(path as Value)) : item);
    return listValue(
      itemsIn(operand).filter((item) => passes(tested(item), test, scope) === keeps),
    );
  });
}

const itemsIn = (value: Value): readonly Value[] =>
  value.type === "UndefinedValue" ? [] : itemsOf(value, textValue);

/** A value through a filter that is named in the template: ours, or the interpreter's own. */
function filtered(item: Value, name: string, args: readonly Value[], scope: Scope): Value {
  if (Object.hasOwn(FILTERS, name))
    return (FILTERS[name] as Filter)(item, new Arguments(name, args));
  const inner = new Environment(scope);
  inner.setVariable("__item", item);
  const [operand, filter] = ["__item", name].map((value) => ({ type: "Identifier", value }));
  return new Interpreter(inner).evaluate({ type: "FilterExpression", operand, filter }, inner);
}

/** Whether a value passes a test; without one, whether it counts as true. */
function passes(item: Value, [name, ...args]: readonly Value[], scope: Scope): boolean {
  if (name === undefined) return isTrue(item);
  if (strOf(name) === "in") return contains(args[0] as Value, item);
  const test = scope.tests.get(strOf(name));
  if (test === undefined) throw new Error(`unknown test: ${strOf(name)}`);
  return test(item, ...args);
}

function called(callee: Value, args: readonly Value[], scope: Scope): Value {
  if (typeof callee.value !== "function") throw new Error(`${callee.type} cannot be called`);
  return (callee.value as (args: readonly Value[], scope: Scope) => Value)(args, scope);
}

/** Python's `%`: of numbers the remainder with the divisor's sign, of a text its format. */
function modulo(a: Value, b: Value): Value {
  if (isText(a)) return textValue(percentFormat(a.value, b));
  const [x, y] = [numberOf(a), numberOf(b)];
  if (y === 0) throw new Error("modulo by zero");
  return numberLike(((x % y) + y) % y, a, b);
}

/** Python's `*`: of numbers, or a text or a list so many times. */
function times(a: Value, b: Value): Value {
  const [items, n] = isNumber(a) ? [b, a] : [a, b];
  if (isText(items)) return textValue(items.value.repeat(Math.max(0, numberOf(n))));
  if (isList(items)) {
    return listValue(Array.from({ length: Math.max(0, numberOf(n)) }, () => items.value).flat());
  }
  return numberLike(numberOf(a) * numberOf(b), a, b);
}

function numberOf(value: Value): number {
  if (isNumber(value) || value.type === "BooleanValue") return Number(value.value);
  throw new Error(`a number is needed, not ${isMapping(value) ? "a mapping" : value.type}`);
}

function numberLike(x: number, ...of: readonly Value[]): Value {
  return of.some(({ type }) => type === "FloatValue") ? realValue(x) : wholeValue(x);
}
