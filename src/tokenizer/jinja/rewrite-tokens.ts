import type { Token } from "./interpreter.ts";

/** Stands for a pair of parentheses in the tree, which else would not tell `(a < b) < c` from `a < b < c`. */
export const PARENTHESES = "__parentheses";

const KEYWORDS = new Set([
  "in",
  "not",
  "and",
  "or",
  "if",
  "else",
  "elif",
  "is",
  "set",
  "for",
  "call",
]);
const COMPARES = new Set(["in", "not"]);

/** The parser's tokens for what it does not know: `{% with %}`, and comparisons in parentheses. */
export function rewriteTokens(tokens: readonly Token[]): Token[] {
  return withParentheses(withoutWith(tokens));
}

/** `{% with a = 1, b = 2 %}` as a loop that is gone through once, since loops have variables of their own. */
function withoutWith(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const [open, name] = [tokens[i] as Token, tokens[i + 1]];
    const isTag = open.type === "OpenStatement" && name?.type === "Identifier";
    if (isTag && name.value === "endwith") {
      out.push(open, { ...name, value: "endfor" });
      i++;
    } else if (isTag && name.value === "with") {
      const end = tokens.findIndex(({ type }, at) => at > i && type === "CloseStatement");
      const assignments = splitAtCommas(tokens.slice(i + 2, end)).filter((part) => part.length > 0);
      // What `loop` was outside it is inside, too.
      out.push(...statement("set __loop = loop"), ...statement("for __once in [ 1 ]"));
      out.push(...statement("set loop = __loop"));
      for (const assignment of assignments) {
        out.push(open, token("set", "Identifier"), ...assignment, token("%}", "CloseStatement"));
      }
      i = end;
    } else {
      out.push(open);
    }
  }
  return out;
}

const SIGNS: Readonly<Record<string, string>> = {
  "=": "Equals",
  "[": "OpenSquareBracket",
  "]": "CloseSquareBracket",
  "1": "NumericLiteral",
};

function statement(text: string): Token[] {
  const words = text.split(" ").map((word) => token(word, SIGNS[word] ?? "Identifier"));
  return [token("{%", "OpenStatement"), ...words, token("%}", "CloseStatement")];
}

const token = (value: string, type: string): Token => ({ value, type });

function splitAtCommas(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const one of tokens) {
    depth += depthOf(one);
    if (depth === 0 && one.type === "Comma") parts.push([]);
    else parts.at(-1)?.push(one);
  }
  return parts;
}

function depthOf({ type }: Token): number {
  if (["OpenParen", "OpenSquareBracket", "OpenCurlyBracket"].includes(type)) return 1;
  return ["CloseParen", "CloseSquareBracket", "CloseCurlyBracket"].includes(type) ? -1 : 0;
}

function withParentheses(tokens: readonly Token[]): Token[] {
  return tokens.flatMap((one, i) => {
    const before = tokens[i - 1];
    const isCall =
      before !== undefined &&
      (["CloseParen", "CloseSquareBracket", "CallOperator"].includes(before.type) ||
        (before.type === "Identifier" && !KEYWORDS.has(before.value)));
    if (one.type !== "OpenParen" || isCall || !holdsComparison(tokens, i)) return [one];
    return [token(PARENTHESES, "Identifier"), one];
  });
}

/** Whether what is in the parentheses that open here is one comparison, and no list. */
function holdsComparison(tokens: readonly Token[], open: number): boolean {
  let [depth, compares] = [0, false];
  for (let i = open; i < tokens.length; i++) {
    const one = tokens[i] as Token;
    depth += depthOf(one);
    if (depth === 0) return compares;
    if (depth > 1) continue;
    if (one.type === "Comma") return false;
    const isWord = one.type === "Identifier" && COMPARES.has(one.value);
    compares ||= one.type === "ComparisonBinaryOperator" || isWord;
  }
  return false;
}
