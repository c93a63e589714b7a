import type { Node } from "./interpreter.ts";

/** Makes nodes; the tree's rewriter has the classes. */
export interface NodeMaker {
  call(name: string, args: readonly Node[]): Node;
  word(value: string): Node;
  made(type: string, fields: object): Node;
}

const ENDS = new Set(["Break", "Continue"]);

/**
 * A loop with `{% break %}` or `{% continue %}` as one whose rest is left out under a condition: the interpreter would
 * drop what the round wrote before. Returns the statements that stand for the loop.
 */
export function rewriteLoop(loop: Node, name: string, make: NodeMaker): Node[] {
  const body = loop.body as Node[];
  if (!endsEarly(body)) return [loop];
  const member = (field: string) =>
    make.made("MemberExpression", {
      object: make.word(name),
      property: make.word(field),
      computed: false,
    });
  const set = (field: string, value: Node) =>
    make.made("Set", { assignee: member(field), value, body: [] });
  const not = (argument: Node) =>
    make.made("UnaryExpression", { operator: { type: "Identifier", value: "not" }, argument });
  const when = (test: Node, nodes: Node[]) => make.made("If", { test, body: nodes, alternate: [] });

  const guarded = (statements: readonly Node[]): Node[] => {
    const at = statements.findIndex((one) => endsEarly([one]));
    const ending = statements[at];
    if (ending === undefined) return [...statements];
    const before = statements.slice(0, at);
    if (ending.type === "Break")
      return [...before, set("over", make.word("true")), set("skip", make.word("true"))];
    if (ending.type === "Continue") return [...before, set("skip", make.word("true"))];
    ending.body = guarded(ending.body as Node[]);
    ending.alternate = guarded(ending.alternate as Node[]);
    const rest = guarded(statements.slice(at + 1));
    return [...before, ending, ...(rest.length === 0 ? [] : [when(not(member("skip")), rest)])];
  };

  loop.body = [when(not(member("over")), [set("skip", make.word("false")), ...guarded(body)])];
  const state = make.call("namespace", []);
  return [
    make.made("Set", { assignee: make.word(name), value: state, body: [] }),
    set("over", make.word("false")),
    loop,
  ];
}

/** Whether a round of the loop may end within these statements; inner loops end their own. */
function endsEarly(statements: readonly Node[]): boolean {
  return statements.some(
    (one) =>
      ENDS.has(one.type) ||
      (one.type === "If" && (endsEarly(one.body as Node[]) || endsEarly(one.alternate as Node[]))),
  );
}
