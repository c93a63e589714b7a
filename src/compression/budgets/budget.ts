import type { ResolvedOptions } from "../options.ts";

export interface BudgetInput {
  readonly nLayer: number;
  /** Tokens that could be kept; more than `options.kvSize`. */
  readonly nTokens: number;
  readonly options: ResolvedOptions;
}

/** Tokens to keep per layer (and in each of its kv heads), the window included. */
export type BudgetPolicy = (input: BudgetInput) => number[];
