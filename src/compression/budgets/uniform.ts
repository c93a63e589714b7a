import type { BudgetPolicy } from "./budget.ts";

/** The same number of tokens in every layer. */
export const uniformBudget: BudgetPolicy = ({ nLayer, options }) =>
  new Array<number>(nLayer).fill(options.kvSize);
