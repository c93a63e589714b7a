import type { HeadScores } from "./budgets/head-scores.ts";
import type { BudgetList } from "./budgets/listed.ts";
import type { Method } from "./method.ts";
import type { Recipe } from "./recipe.ts";
import type { HeadProfile } from "./profile.ts";

/** What a user may ask of compression. Everything has a default; `kvSize` is the one that matters. */
export interface CompressionOptions {
  /** One of `METHODS`, or wrappers around one: `every:128(ada(snapkv))`; or one of your own, or how to run one: `{ method, every: 64 }`. Defaults to `funnel`. */
  readonly method?: string | Method | Recipe;
  /** Tokens kept per layer and kv head, averaged over the layers, the window included. Defaults to 1,024. */
  readonly kvSize?: number;
  /**
   * Instead of the method's own division: tokens per layer, or per layer and kv head, whose mean is the kvSize; or
   * how much each head matters.
   */
  readonly budgets?: BudgetList | HeadScores;
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
  /** What `funnel` divides by: `auto`, the model's calibrated profile where there is one; `none`; or a profile. */
  readonly profile?: string | HeadProfile;
}
