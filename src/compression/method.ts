import type { BudgetPolicy } from "./budgets/budget.ts";
import type { EvidenceKind, LayerEvidence } from "./evidence.ts";
import type { OptionName, ResolvedOptions } from "./options.ts";
import type { HeadProfile } from "./profile.ts";
import type { Ranking } from "./ranking.ts";

/** Ranks the tokens of each kv head; null keeps the newest. A pure function of what it is given. */
export type Scorer = (
  layer: LayerEvidence,
  options: ResolvedOptions,
) => readonly (Ranking | null)[];

export const PROBES = ["facts", "replay"] as const;
/**
 * What is read after the prompt and forgotten: a request to list every fact, or the prompt itself once more.
 */
export type Probe = (typeof PROBES)[number];

/**
 * What a method or wrapper is there for: what we would take, what a paper proposes, or what comparisons and experiments
 * need. The first two are what people are shown who ask for no more.
 */
export type Standing = "recommended" | "paper" | "research";

/** A compression method: what ranks tokens and how the budget is divided. How it is run is its `Recipe`. */
export interface Method {
  /** Its name in the table, or the composition that made it. */
  readonly name: string;
  /** What it does, for help and docs. */
  readonly summary: string;
  readonly paper?: string;
  /** Differences from its paper, or from the authors' code, a sentence each. */
  readonly deviations?: readonly string[];
  /** Whether the ranking follows what the end of the prompt asks for, or holds for any question. */
  readonly queryAware: boolean;
  readonly needs: readonly EvidenceKind[];
  readonly score: Scorer;
  readonly budget: BudgetPolicy;
  /** The options that have an effect on it. */
  readonly options: readonly OptionName[];
  /** Its own defaults, over the preset's. */
  readonly defaults?: Partial<ResolvedOptions>;
  /** Text that must be read after the prompt and forgotten, for its queries to observe the prompt; none by default. */
  readonly probe?: Probe;
  /** The same method with what is known of a model. */
  readonly calibrated?: (profile: HeadProfile) => Method;
  /** The model whose profile it was calibrated with. */
  readonly profile?: string;
}

/** A method of the table. */
export interface ListedMethod extends Method {
  readonly standing: Standing;
}
