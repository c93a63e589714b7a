/** How scores are smoothed over neighbouring positions. */
export type Pool = "avg" | "max";
/** How the query heads that share a kv head are reduced to one score. */
export type GqaReduce = "mean" | "max";
export const ROUNDINGS = ["exact", "kvcache-factory", "kvpress"] as const;
/** How real-valued budgets become whole tokens; `exact` keeps the total exactly. */
export type Rounding = (typeof ROUNDINGS)[number];

/** Every option with its value, as results record them. */
export interface ResolvedOptions {
  readonly kvSize: number;
  readonly preset: string;
  readonly alpha: number;
  readonly window: number;
  readonly beta: number;
  readonly pool: Pool;
  readonly kernel: number;
  readonly gqa: GqaReduce;
  readonly sinks: number;
  readonly rounding: Rounding;
  readonly seed: number;
  readonly lag: number;
  /** Where the profile in use came from; `none` where budgets come from the prompt. */
  readonly profile: string;
}

export type OptionName = keyof ResolvedOptions;
