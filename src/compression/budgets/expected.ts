import type { Compression } from "../resolve.ts";
import type { PlanShape } from "./plan.ts";

export interface ExpectedBudgets {
  /** Tokens per [layer][kv head]. */
  readonly tokens: readonly (readonly number[])[];
  /** Whether the prompt decides how they are divided: then every head is taken to have the mean. */
  readonly estimated: boolean;
}

/** What a prompt of so many tokens leaves in each kv head, as far as that is known before it is read. */
export function expectedBudgets(
  { method, options }: Compression,
  { nLayer, nHeadKv, nTokens }: PlanShape,
): ExpectedBudgets {
  const { budget } = method;
  const all = (n: number) => new Array<number>(nHeadKv).fill(n);
  const everywhere = (n: number) => Array.from({ length: nLayer }, () => all(n));
  const measured = budget.kind === "measured";
  const sized = method.options.includes("kvSize") && !measured;
  if (!sized || nTokens <= options.kvSize) {
    return { tokens: everywhere(nTokens), estimated: measured };
  }
  const input = { nLayer, nHeadKv, nTokens, options };
  switch (budget.kind) {
    case "layers":
      return { tokens: budget.layers(input).map(all), estimated: false };
    case "split":
      return { tokens: budget.layers(input).map(all), estimated: true };
    case "heads":
      return { tokens: budget.heads(input), estimated: false };
    case "weighed":
      return { tokens: everywhere(options.kvSize), estimated: true };
  }
}
