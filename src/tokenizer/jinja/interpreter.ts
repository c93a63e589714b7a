import * as jinja from "@huggingface/jinja";

/** A part of a template's source. */
export interface Token {
  readonly type: string;
  readonly value: string;
}

/** A node of the parser's tree. */
export interface Node {
  type: string;
  [field: string]: unknown;
}

/** A value as the interpreter holds it. */
export interface Value {
  readonly type: string;
  readonly value: unknown;
}

/** The variables that a template sees. */
export interface Scope {
  /** Declares a variable, from a JavaScript value. */
  set(name: string, value: unknown): Value;
  setVariable(name: string, value: Value): Value;
  readonly tests: ReadonlyMap<string, (...values: Value[]) => boolean>;
}

interface Package {
  readonly tokenize: (source: string, options: object) => Token[];
  readonly parse: (tokens: readonly Token[]) => Node;
  readonly Environment: new (parent?: Scope) => Scope;
  readonly Interpreter: new (scope: Scope) => {
    run(program: Node): Value;
    evaluate(node: Node, scope: Scope): Value;
  };
}

/** The package, with types of ours: its own name files that Node's resolution does not find. */
export const { tokenize, parse, Environment, Interpreter } = jinja as unknown as Package;
