import { PyramidKVError } from "../errors.ts";
import type { LayerEvidence } from "./evidence.ts";
import type { Method, Standing } from "./method.ts";
import type { OptionName, ResolvedOptions } from "./options.ts";
import type { Ranking } from "./ranking.ts";
import type { Recipe } from "./recipe.ts";

/** What can be put around a method, `name:argument(method)`: each changes one part of it, or of how it is run. */
export interface Wrapper {
  readonly summary: string;
  readonly standing: Standing;
  readonly paper?: string;
  /** Differences from its paper, or from the authors' code, a sentence each. */
  readonly deviations?: readonly string[];
  /** What its argument is; absent where it takes none. */
  readonly argument?: string;
  /** Whether it divides the budget in a way of its own, whatever did so before. */
  readonly divides?: boolean;
  /** Whether what was calibrated for the model is left aside. */
  readonly ignoresProfile?: boolean;
  wrap(recipe: Recipe, argument?: number): Recipe;
}

/** A wrapper that changes the method alone. */
export function ofMethod(change: (method: Method, argument?: number) => Method): Wrapper["wrap"] {
  return (recipe, argument) => ({ ...recipe, method: change(recipe.method, argument) });
}

/** A method's options and these. */
export function withOptions(method: Method, ...names: OptionName[]): OptionName[] {
  return [...new Set([...method.options, ...names])];
}

/** A whole number of at least 1, or `fallback` where none is given. */
export function count(what: string, argument: number | undefined, fallback?: number): number {
  const n = argument ?? fallback;
  if (n === undefined || !Number.isInteger(n) || n < 1) {
    const got = n === undefined ? "none was given" : `got ${n}`;
    throw new PyramidKVError("USAGE", `${what} takes a whole number of at least 1, ${got}`);
  }
  return n;
}

/** A number above 0 and at most 1, or `fallback` where none is given. */
export function shareOf(what: string, argument: number | undefined, fallback: number): number {
  const share = argument ?? fallback;
  if (share > 0 && share <= 1) return share;
  throw new PyramidKVError("USAGE", `${what} must be above 0 and at most 1, got ${share}`);
}

type Rerank = (
  rankings: readonly (Ranking | null)[],
  layer: LayerEvidence,
  options: ResolvedOptions,
) => readonly (Ranking | null)[];

/** A method whose rankings are changed. */
export function reranked(method: Method, rerank: Rerank): Method {
  return {
    ...method,
    score: (layer, options) => rerank(method.score(layer, options), layer, options),
  };
}
