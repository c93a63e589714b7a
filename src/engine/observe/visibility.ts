/** Where tokens stand for the model, and in the order in which they came: the same, until tokens move. */
export interface Places {
  readonly positions: Int32Array;
  readonly order: Int32Array;
}

/** Whether the last tokens held are just these. */
export function endsWith(held: Int32Array, last: Int32Array): boolean {
  return last.every((place, i) => held[held.length - last.length + i] === place);
}

/** Far below any logit, and finite: a query that sees no key at all gives nothing, not NaN. */
const UNSEEN = -1e30;

/**
 * Which of the tokens held each query sees, by the order in which they came: since tokens were evicted, rows do not
 * tell. [tokens, queries, heads of the group after each other].
 */
export function visibility(o: {
  readonly held: readonly Places[];
  readonly queries: Places;
  readonly distance: number;
  readonly group: number;
}): { bias: Float32Array; counts: Float32Array } {
  const n = o.held[0]?.order.length ?? 0;
  const nQueries = o.queries.order.length;
  const perHead = n * nQueries;
  const bias = new Float32Array(perHead * o.held.length * o.group);
  const counts = new Float32Array(bias.length);
  for (const [h, held] of o.held.entries()) {
    for (let i = 0; i < o.group; i++) {
      const first = (h * o.group + i) * perHead;
      for (let row = 0; row < nQueries; row++) {
        for (let j = 0; j < n; j++) {
          const at = first + row * n + j;
          const away = between(held.positions, j, o.queries.positions, row);
          if (between(held.order, j, o.queries.order, row) < 0) bias[at] = UNSEEN;
          // Moved tokens may stand behind a query that came later: they are near it.
          else if (Math.max(0, away) >= o.distance) counts[at] = 1;
        }
      }
    }
  }
  return { bias, counts };
}

function between(from: Int32Array, i: number, to: Int32Array, j: number): number {
  return (to[j] as number) - (from[i] as number);
}
