import type { Method, Probe } from "./method.ts";

/** How a method is run: what is done with its ranking and budgets, and around the prompt. */
export interface Recipe {
  readonly method: Method;
  /** Text that is read after the prompt and forgotten: its queries observe the prompt instead of the prompt's own last ones. The method's own, unless asked. */
  readonly probe?: Probe | undefined;
  /** Tokens decoded between two recompressions; none unless asked. */
  readonly every?: number | undefined;
  /** Share of the prompt's tokens that the upper half of the layers reads; all unless asked. */
  readonly carries?: number | undefined;
  /** What an evicted value counts beside the 1 of the kept one that it is averaged into; forgotten unless asked. */
  readonly merges?: number | undefined;
  /** Whether kept tokens move to the positions 0, 1, 2, … so that the context never fills. */
  readonly rerotates?: boolean | undefined;
}

/** A method as it is run where nothing is asked: with the probe that it needs. */
export function recipeOf(method: Method): Recipe {
  return { method, probe: method.probe };
}
