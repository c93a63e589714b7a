/** How scores are smoothed over neighbouring positions. */
export type Pool = "avg" | "max";
/** How the query heads that share a kv head are reduced to one score. */
export type GqaReduce = "mean" | "max";
/** How real-valued budgets become whole tokens; `exact` keeps the total exactly. */
export type Rounding = "exact" | "kvcache-factory" | "kvpress";

/** What a user may ask of compression. Everything has a default; `kvSize` is the one that matters. */
export interface CompressionOptions {
  /** One of `METHODS`, or wrappers around one: `every:128(ada(snapkv))`. Defaults to `pyramidkv`. */
  readonly method?: string;
  /** Tokens kept per layer and kv head, averaged over the layers, the window included. Defaults to 128. */
  readonly kvSize?: number;
  /** Named set of published values for the options below. Defaults to `paper`. */
  readonly preset?: string;
  /** Observation window: how many of the last prompt tokens score the others. */
  readonly alpha?: number;
  /** Retained window: how many of the last prompt tokens are kept by force; 0 keeps none. */
  readonly window?: number;
  /** Steepness of the pyramid: the highest layer gets 1/β of the mean. Larger is steeper. */
  readonly beta?: number;
  readonly pool?: string;
  /** Positions that are pooled together; odd. */
  readonly kernel?: number;
  readonly gqa?: string;
  /** Attention sinks: how many of the first tokens are kept by force. */
  readonly sinks?: number;
  /** Seed of `random`. */
  readonly seed?: number;
  /** Tokens of the stretches that `lagkv` compares. */
  readonly lag?: number;
  /** Whether `funnel` uses what was calibrated for the model: `auto` where there is such a profile, or `none`. */
  readonly profile?: string;
}

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
