import type { BudgetPolicy } from "./budgets/budget.ts";
import type { OptionName, ResolvedOptions } from "./options.ts";

/** What a score is computed from; prefill computes no more than the method needs. */
export type ScoreNeeds =
  /** Positions alone. */
  | "nothing"
  /** Attention of the last α prompt tokens. */
  | "window-queries"
  /** Attention of every prompt token. */
  | "all-queries";

/** A compression method: a budget per layer, a score per token, and what is kept by force. */
export interface Method {
  readonly name: string;
  /** What it does, for help and docs. */
  readonly summary: string;
  readonly paper?: string;
  readonly needs: ScoreNeeds;
  /** Whether scores are pooled over neighbouring positions. */
  readonly pools: boolean;
  /** The options that have an effect on it. */
  readonly options: readonly OptionName[];
  /** Its own defaults, over the preset's. */
  readonly defaults?: Partial<ResolvedOptions>;
  readonly budget: BudgetPolicy;
}
