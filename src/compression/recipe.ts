import { PyramidKVError } from "../errors.ts";
import { missingWhileDecoding } from "./decode-evidence.ts";
import { EVIDENCE } from "./evidence.ts";
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

/** Throws `USAGE` where parts of a method do not go together, in whatever order they were put around each other. */
export function requireTogether(recipe: Recipe): void {
  const why = conflict(recipe);
  if (why !== undefined) throw new PyramidKVError("USAGE", why);
}

function conflict({ method, every, rerotates, carries, probe }: Recipe): string | undefined {
  const { name, budget } = method;
  if (carries !== undefined && probe !== undefined) return "carry and a probe do not go together";
  if (rerotates === true && budget.kind !== "layers" && budget.kind !== "heads") {
    return `rerotate needs budgets that are known before, ${name} has others`;
  }
  if (every === undefined) return undefined;
  const missing = missingWhileDecoding(method);
  return missing === undefined
    ? undefined
    : `${name} cannot compress while decoding: it ranks by ${EVIDENCE[missing]}`;
}
