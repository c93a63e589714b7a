import { distance } from "fastest-levenshtein";

/** What is this far from every known name is no slip of the pen: a share of the longer name's letters. */
const MOST_WRONG = 0.4;

/** The known name that somebody may have meant, if one is near; letters' case aside. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  const lower = name.toLowerCase();
  const wrong = (candidate: string) => {
    const lowerCandidate = candidate.toLowerCase();
    const isBegun = lower.length > 1 && lowerCandidate.startsWith(lower);
    return isBegun || isSwapped(lower, lowerCandidate) ? 1 : distance(lower, lowerCandidate);
  };
  const [nearest] = names
    .map((candidate) => ({ candidate, wrong: wrong(candidate) }))
    .filter(({ candidate, wrong: n }) => n <= MOST_WRONG * Math.max(name.length, candidate.length))
    .sort((a, b) => a.wrong - b.wrong);
  return nearest?.candidate;
}

/** Whether two neighbouring letters took each other's place: one slip, not two. */
function isSwapped(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  const at = Array.from(a).findIndex((c, i) => c !== b[i]);
  return at >= 0 && a.slice(0, at) + (a[at + 1] ?? "") + (a[at] ?? "") + a.slice(at + 2) === b;
}

/** `; did you mean snapkv?`, or nothing. */
export function suggestion(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names);
  return nearest === undefined ? "" : `; did you mean ${nearest}?`;
}
