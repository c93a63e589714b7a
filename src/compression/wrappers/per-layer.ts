import { mean } from "../../mean.ts";
import { apportion } from "../budgets/apportion.ts";
import type { BudgetPolicy } from "../budgets/budget.ts";
import { ofMethod, type Wrapper } from "../wrapper.ts";

/** Equal heads in each layer, for engines that cannot hold heads of different lengths. */
export const perLayer: Wrapper = {
  summary: "the same budget for all heads of a layer",
  standing: "research",
  wrap: ofMethod((method) => ({ ...method, budget: levelled(method.budget) })),
};

function levelled(budget: BudgetPolicy): BudgetPolicy {
  switch (budget.kind) {
    case "layers":
      return budget;
    case "split":
      return { ...budget, kind: "layers" };
    case "weighed":
      return { ...budget, level: true };
    case "measured":
      return {
        ...budget,
        measure: (layer, input) => {
          const measured = budget.measure(layer, input);
          return measured.map(() => Math.round(mean(measured)));
        },
      };
    case "heads": {
      const { name, summary } = budget;
      return {
        name,
        summary,
        kind: "layers",
        layers(input) {
          const means = budget.heads(input).map((layer) => Math.min(mean(layer), input.nTokens));
          return apportion(means, Math.round(means.reduce((a, b) => a + b, 0)));
        },
      };
    }
  }
}
