import type { Compression } from "../resolve.ts";
import { knownBudgets } from "./known.ts";
import type { PlanShape } from "./plan.ts";

/**
 * How well a prompt's budgets are known before it is read: they are, they are taken to be even where the prompt decides
 * how they are divided, or it decides how many tokens are kept, and all is the most.
 */
export type Foresight = "known" | "even" | "at most";

export interface ExpectedBudgets {
  /** Tokens per [layer][kv head]. */
  readonly tokens: readonly (readonly number[])[];
  readonly foresight: Foresight;
}

/** What a prompt of `nTokens` tokens leaves in each kv head, as far as that is known before it is read. */
export function expectedBudgets(
  compression: Compression,
  { nLayer, nHeadKv, nTokens }: PlanShape,
): ExpectedBudgets {
  const { method, options } = compression;
  const { budget } = method;
  const heads = (n: number) => new Array<number>(nHeadKv).fill(Math.min(n, nTokens));
  const everywhere = (n: number) => Array.from({ length: nLayer }, () => heads(n));
  if (budget.kind === "measured") return { tokens: everywhere(nTokens), foresight: "at most" };
  if (!method.options.includes("kvSize") || nTokens <= options.kvSize) {
    return { tokens: everywhere(nTokens), foresight: "known" };
  }
  const budgets = knownBudgets(compression, { nLayer, nHeadKv, nTokens, options });
  if (budgets === undefined) return { tokens: everywhere(options.kvSize), foresight: "even" };
  const tokens = budgets.map((layer) => layer.map((n) => Math.min(n, nTokens)));
  return { tokens, foresight: budget.kind === "split" ? "even" : "known" };
}

/** Of a model, what says how long a context can be. */
interface ContextShape {
  /** Layers that methods act on. */
  readonly compressible: readonly number[];
  readonly nHeadKv: number;
  readonly nCtx: number;
}

/**
 * Whether tokens move back as they are evicted, so that the context never fills while decoding: the longest head must
 * be cut before it is full.
 */
export function isEndless(
  compression: Compression,
  { compressible, nHeadKv, nCtx }: ContextShape,
): boolean {
  const { rerotates, every } = compression.recipe;
  if (rerotates !== true || every === undefined) return false;
  const shape = { nLayer: compressible.length, nHeadKv, nTokens: nCtx };
  const { tokens } = expectedBudgets(compression, shape);
  return Math.max(...tokens.flat()) + every < nCtx;
}
