import { parse, tokenize, type Node } from "./interpreter.ts";
import { FILTERS } from "./filters.ts";
import { METHOD_NAMES } from "./methods.ts";
import { rewriteLoop, type NodeMaker } from "./rewrite-loops.ts";

/** Functions that nodes are rewritten to, besides those of `functionName`. */
export const CALLS = {
  text: "__text",
  modulo: "__modulo",
  join: "__join",
  cycle: "__cycle",
  times: "__times",
  rows: "__rows",
  select: "__select",
  reject: "__reject",
  selectAttribute: "__selectattr",
  rejectAttribute: "__rejectattr",
  map: "__map",
  each: "__each",
  isIn: "__in",
  not: "__not",
};

/** The function that stands for a filter or a method. */
export const functionName = (kind: "filter" | "method", name: string) => `__${kind}_${name}`;

const [sample] = parse(tokenize("{{ f(x) }}", {})).body as [Node];
const callPrototype = Object.getPrototypeOf(sample) as object;
const wordPrototype = Object.getPrototypeOf(sample.callee) as object;

const STATEMENTS = new Set([
  ...[
    "Set",
    "If",
    "For",
    "Macro",
    "CallStatement",
    "FilterStatement",
    "Break",
    "Continue",
    "Comment",
  ],
  "StringLiteral",
]);
const COMPARISONS = new Set(["<", ">", "<=", ">=", "==", "!=", "in", "not in"]);

/** Calls that stand for `in` and `not in`, with what is on their right. */
const contained = new WeakMap<Node, Node>();

/** Comparisons that were joined. */
const chains = new WeakSet<Node>();

/** Calls our functions where the interpreter would render another text than Jinja, or none. */
export function rewriteTree(tree: Node): Node {
  for (const [field, value] of Object.entries(tree)) {
    if (field !== "operator") tree[field] = rewritten(value);
  }
  for (const field of ["body", "alternate", "defaultBlock"]) {
    const block = tree[field];
    if (Array.isArray(block)) tree[field] = (block as Node[]).flatMap(shown);
  }
  if (tree.type === "FilterExpression") return filterCall(tree);
  if (tree.type === "CallExpression") return methodCall(tree);
  return tree.type === "BinaryExpression" ? binary(tree) : tree;
}

function rewritten(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rewritten);
  if (value instanceof Map) {
    return new Map(Array.from(value, ([k, v]) => [rewritten(k), rewritten(v)] as const));
  }
  const isNode = typeof value === "object" && value !== null && "type" in value;
  return isNode ? rewriteTree(value as Node) : value;
}

/** An expression that stands in a text is written as Python writes it. */
function shown(node: Node): Node[] {
  if (node.type === "For") return rewriteLoop(forOf(node), `__loop${++loops}`, NODES);
  return [STATEMENTS.has(node.type) ? node : call(CALLS.text, [node])];
}

/** Each loop with an early end has a variable of its own. */
let loops = 0;

/** Loops go over texts and over what is undefined, too; what one takes apart into several variables may be tuples. */
function forOf(node: Node): Node {
  const name = (node.loopvar as Node).type === "TupleLiteral" ? CALLS.rows : CALLS.each;
  const iterable = node.iterable as Node;
  const isFiltered = iterable.type === "SelectExpression";
  const items = call(name, [isFiltered ? (iterable.lhs as Node) : iterable]);
  node.iterable = isFiltered ? copyOf(iterable, { lhs: items }) : items;
  return node;
}

function filterCall(node: Node): Node {
  const filter = node.filter as Node;
  const isCall = filter.type === "CallExpression";
  const name = wordOf(isCall ? (filter.callee as Node) : filter);
  const args = isCall ? (filter.args as Node[]) : [];
  const operand = node.operand as Node;
  if (name === "map" && args[0]?.type === "StringLiteral")
    return call(CALLS.map, [operand, ...args]);
  if (name === "select") return call(CALLS.select, [operand, ...args]);
  if (name === "reject") return call(CALLS.reject, [operand, ...args]);
  if (name === "selectattr") return call(CALLS.selectAttribute, [operand, ...args]);
  if (name === "rejectattr") return call(CALLS.rejectAttribute, [operand, ...args]);
  if (name === undefined || !Object.hasOwn(FILTERS, name)) return node;
  return call(functionName("filter", name), [operand, ...args]);
}

function methodCall(node: Node): Node {
  const [callee, args] = [node.callee as Node, node.args as Node[]];
  if (callee.type !== "MemberExpression" || callee.computed === true) return node;
  const [object, name] = [callee.object as Node, wordOf(callee.property as Node)];
  if (name === "cycle" && wordOf(object) === "loop") {
    return call(CALLS.cycle, [copyOf(callee, { property: word("index0") }), ...args]);
  }
  if (name === undefined || !METHOD_NAMES.includes(name)) return node;
  return call(functionName("method", name), [object, ...args]);
}

const OPERATORS: Readonly<Record<string, string>> = {
  "%": CALLS.modulo,
  "*": CALLS.times,
  "~": CALLS.join,
};

function binary(node: Node): Node {
  const { value: operator } = node.operator as { value: string };
  const [left, right] = [node.left as Node, node.right as Node];
  const name = OPERATORS[operator];
  if (name !== undefined) return call(name, [left, right]);
  if (!COMPARISONS.has(operator)) return node;
  if (!isComparison(left)) return comparison(node, operator, left);
  // `a < b < c` is `a < b and b < c`.
  const last = chains.has(left) ? (left.right as Node) : left;
  const both = copyOf(node, {
    operator: { type: "Identifier", value: "and" },
    right: comparison(node, operator, contained.get(last) ?? (last.right as Node)),
  });
  chains.add(both);
  return both;
}

/** The comparison of `node` with this on its left; whether something is in something is a call of ours. */
function comparison(node: Node, operator: string, left: Node): Node {
  if (operator !== "in" && operator !== "not in") return copyOf(node, { left });
  const right = node.right as Node;
  const isIn = call(CALLS.isIn, [left, right]);
  const made = operator === "in" ? isIn : call(CALLS.not, [isIn]);
  contained.set(made, right);
  return made;
}

function isComparison(node: Node): boolean {
  if (contained.has(node)) return true;
  if (node.type !== "BinaryExpression") return false;
  return chains.has(node) || COMPARISONS.has((node.operator as { value: string }).value);
}

function wordOf(node: Node | undefined): string | undefined {
  return node?.type === "Identifier" ? String(node.value) : undefined;
}

const NODES: NodeMaker = {
  call,
  word,
  made: (type, fields) => made(wordPrototype, { ...fields, type }),
};

function call(name: string, args: readonly Node[]): Node {
  return made(callPrototype, { type: "CallExpression", callee: word(name), args });
}

function word(value: string): Node {
  return made(wordPrototype, { type: "Identifier", value });
}

function copyOf(node: Node, changes: object): Node {
  return made(Object.getPrototypeOf(node) as object, { ...node, ...changes });
}

/** The interpreter tells nodes by their classes in one place; the package exports none of them. */
function made(prototype: object, fields: Node): Node {
  return Object.assign(Object.create(prototype) as object, fields);
}
