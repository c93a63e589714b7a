import { PyramidKVError } from "../../errors.ts";
import type { BudgetPolicy } from "./budget.ts";

/** Tokens per layer, or per layer and kv head, as somebody wrote them down. */
export type BudgetList = readonly number[] | readonly (readonly number[])[];

/** A policy that keeps just what the list says; throws `USAGE` where it holds anything but whole numbers. */
export function listed(list: BudgetList): BudgetPolicy {
  const numbers = list.flat();
  if (numbers.length === 0 || numbers.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new PyramidKVError(
      "USAGE",
      "budgets must be whole numbers of at least 1, one a layer or one list of kv heads a layer",
    );
  }
  return {
    name: "listed",
    summary: "what a list says",
    kind: "heads",
    heads({ nLayer, nHeadKv }) {
      if (list.length !== nLayer) {
        throw new PyramidKVError(
          "USAGE",
          `the list of budgets has ${list.length} layers, the model ${nLayer}`,
        );
      }
      return list.map((layer) => {
        if (typeof layer === "number") return new Array<number>(nHeadKv).fill(layer);
        if (layer.length === nHeadKv) return [...layer];
        throw new PyramidKVError(
          "USAGE",
          `a layer of the list of budgets has ${layer.length} kv heads, the model ${nHeadKv}`,
        );
      });
    },
  };
}

/** The mean of a list, which is its kvSize; rounded down, so that no prompt is taken to fit that does not. */
export function meanBudget(list: BudgetList): number {
  const numbers = list.flat();
  return Math.floor(numbers.reduce((a, b) => a + b, 0) / numbers.length);
}
