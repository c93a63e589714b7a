import type { BudgetPolicy } from "./budget.ts";

/** The same number of tokens in every layer. */
export const uniform: BudgetPolicy = {
  name: "uniform",
  summary: "the same in every layer",
  kind: "layers",
  layers: ({ nLayer, options }) => new Array<number>(nLayer).fill(options.kvSize),
};
