import { PyramidKVError } from "../errors.ts";
import type { BudgetPolicy } from "./budgets/budget.ts";
import { EVIDENCE, type EvidenceKind } from "./evidence.ts";
import type { Method } from "./method.ts";
import type { Recipe } from "./recipe.ts";

/** What is there to rank by while tokens are decoded. */
const DECODE_EVIDENCE: readonly EvidenceKind[] = [
  "window",
  "sums",
  "far-sums",
  "sampled-sums",
  "sampled-far-sums",
  "keys",
  "plain-keys",
  "values",
];

/** Whether budgets follow what decoded tokens show; others stay as the prompt divided them. */
export function dividesWhileDecoding({ needs = [] }: BudgetPolicy): boolean {
  return needs.every((kind) => DECODE_EVIDENCE.includes(kind));
}

/** What a method ranks and divides by while tokens are decoded. */
export function neededWhileDecoding({ needs, budget }: Method): EvidenceKind[] {
  return [...needs, ...(dividesWhileDecoding(budget) ? (budget.needs ?? []) : [])];
}

/** Throws `USAGE` where parts of a method do not go together, in whatever order they were put around each other. */
export function requireTogether(recipe: Recipe): void {
  const why = conflict(recipe);
  if (why !== undefined) throw new PyramidKVError("USAGE", why);
}

function conflict({ method: { name, needs, budget }, every, rerotates, carries, probe }: Recipe) {
  if (carries !== undefined && probe !== undefined) return "carry and a probe do not go together";
  if (rerotates === true && budget.kind !== "layers" && budget.kind !== "heads") {
    return `rerotate needs budgets that are known before, ${name} has others`;
  }
  if (every === undefined) return undefined;
  const missing = needs.find((kind) => !DECODE_EVIDENCE.includes(kind));
  return missing === undefined
    ? undefined
    : `${name} cannot compress while decoding: it ranks by ${EVIDENCE[missing]}`;
}
