import { distance } from "fastest-levenshtein";

/** What is this far from every known name is no slip of the pen: a share of the longer name's letters. */
const MOST_WRONG = 0.4;

/** The known name that somebody may have meant, if one is near; letters' case aside. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const wrong = (candidate: string) => distance(name.toLowerCase(), candidate.toLowerCase());
  const [nearest] = known
    .map((candidate) => ({ candidate, wrong: wrong(candidate) }))
    .filter(({ candidate, wrong: n }) => n <= MOST_WRONG * Math.max(name.length, candidate.length))
    .sort((a, b) => a.wrong - b.wrong);
  return nearest?.candidate;
}

/** `; did you mean snapkv?`, or nothing. */
export function suggestion(name: string, known: readonly string[]): string {
  const nearest = nearestName(name, known);
  return nearest === undefined ? "" : `; did you mean ${nearest}?`;
}
