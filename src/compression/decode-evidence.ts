import type { BudgetPolicy } from "./budgets/budget.ts";
import { SUMMED_KINDS, type EvidenceKind } from "./evidence.ts";
import type { Method } from "./method.ts";

/** What is there to rank by while tokens are decoded. */
const DECODE_EVIDENCE: readonly EvidenceKind[] = [
  "window",
  ...SUMMED_KINDS,
  "keys",
  "plain-keys",
  "values",
];

/** What a method ranks by that nothing shows while tokens are decoded; none, where it can be compressed again. */
export function missingWhileDecoding({ needs }: Method): EvidenceKind | undefined {
  return needs.find((kind) => !DECODE_EVIDENCE.includes(kind));
}

/** Whether budgets follow what decoded tokens show; others stay as the prompt divided them. */
export function dividesWhileDecoding({ needs = [] }: BudgetPolicy): boolean {
  return needs.every((kind) => DECODE_EVIDENCE.includes(kind));
}

/** What a method ranks and divides by while tokens are decoded. */
export function neededWhileDecoding({ needs, budget }: Method): EvidenceKind[] {
  return [...needs, ...(dividesWhileDecoding(budget) ? (budget.needs ?? []) : [])];
}
