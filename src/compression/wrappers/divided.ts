import { inverted as invertedBudget, pyramid as pyramidBudget } from "../budgets/pyramid.ts";
import { uniform as uniformBudget } from "../budgets/uniform.ts";
import { ofMethod, withOptions, type Wrapper } from "../wrapper.ts";

export const uniform: Wrapper = {
  summary: "the same budget in every layer",
  standing: "research",
  divides: true,
  wrap: ofMethod((method) => ({ ...method, budget: uniformBudget })),
};

export const pyramid: Wrapper = {
  summary: "PyramidKV's budgets for any scores",
  standing: "paper",
  divides: true,
  wrap: ofMethod((method) => ({
    ...method,
    options: withOptions(method, "beta", "window", "rounding"),
    budget: pyramidBudget,
  })),
};

export const inverted: Wrapper = {
  summary: "the pyramid upside down, as a control",
  standing: "research",
  divides: true,
  wrap: ofMethod((method) => ({
    ...method,
    options: withOptions(method, "beta", "window", "rounding"),
    budget: invertedBudget,
  })),
};
