import { PyramidKVError } from "../errors.ts";
import { EVIDENCE, type EvidenceKind } from "./evidence.ts";
import type { Method } from "./method.ts";

/** What is there to rank by while tokens are decoded. */
const DECODE_EVIDENCE: readonly EvidenceKind[] = ["window", "sums", "keys", "plain-keys", "values"];

/** Throws `USAGE` where parts of a method do not go together, in whatever order they were put around each other. */
export function requireTogether(method: Method): void {
  const why = conflict(method);
  if (why !== undefined) throw new PyramidKVError("USAGE", why);
}

function conflict({ name, needs, budget, every, rerotates, carries, probe }: Method) {
  if (carries !== undefined && probe !== undefined) return "carry and a probe do not go together";
  if (rerotates === true && budget.kind !== "layers" && budget.kind !== "heads") {
    return `rerotate needs budgets that are known before, ${name} has others`;
  }
  if (every === undefined) return undefined;
  const missing = [...needs, ...(budget.needs ?? [])].find((k) => !DECODE_EVIDENCE.includes(k));
  if (missing !== undefined) {
    return `${name} cannot compress while decoding: it ranks by ${EVIDENCE[missing]}`;
  }
  return needs.includes("sums") && budget.kind === "weighed"
    ? `${name} cannot compress while decoding: its sums and its budgets both need the whole prompt`
    : undefined;
}
