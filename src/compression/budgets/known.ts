import { PyramidKVError } from "../../errors.ts";
import { checkBudgets, requireLength } from "../check.ts";
import { forcedTokens, type Compression } from "../resolve.ts";
import type { BudgetInput } from "./budget.ts";
import { share } from "./share.ts";

/** Budgets that do not wait for the prompt, per layer and kv head. */
export function knownBudgets(
  compression: Compression,
  input: BudgetInput,
): readonly (readonly number[])[] | undefined {
  const { budget, name } = compression.method;
  const { nLayer, nHeadKv } = input;
  const least = forcedTokens(compression) + 1;
  if (budget.kind === "heads") {
    const table: unknown = budget.heads(input);
    requireLength(name, "heads", "its budget", nLayer, "layers", table);
    table.forEach((row, il) => {
      checkBudgets(name, "heads", il, nHeadKv, row);
      requireLeast(row, il, least);
    });
    return table as number[][];
  }
  if (budget.kind !== "layers" && budget.kind !== "split") return undefined;
  const list: unknown = budget.layers(input);
  requireLength(name, "layers", "its budget", nLayer, "layers", list);
  list.forEach((b, il) => checkBudgets(name, "layers", il, 1, [b], 0));
  return raised(list as number[], least).map((b) => new Array<number>(nHeadKv).fill(b));
}

/** Somebody's own list is not changed: what it leaves no room for is said. */
function requireLeast(budgets: readonly number[], il: number, least: number): void {
  const h = budgets.findIndex((b) => b < least);
  if (h < 0) return;
  throw new PyramidKVError(
    "USAGE",
    `the budget of layer ${il}, head ${h}, is ${budgets[h]}; sinks and window, which are always kept, and one token more are ${least}`,
  );
}

/**
 * Budgets of which each is at least `least`, with the same sum: what the small ones lack the others give by what they
 * have beyond it. They stay as they are where none is smaller; all become equal where the sum does not suffice.
 */
export function raised(budgets: readonly number[], least: number): number[] {
  if (budgets.every((b) => b >= least)) return [...budgets];
  const total = budgets.reduce((a, b) => a + b, 0);
  const beyond = budgets.map((b) => Math.max(0, b - least));
  const caps = budgets.map((b) => Math.max(b, least));
  return share(total, beyond, least, caps);
}
