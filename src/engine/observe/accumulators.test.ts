import fc from "fast-check";
import { expect, it } from "vitest";
import { ACCUMULATIONS, counted, queriesOfKind, within } from "./accumulators.ts";

const KINDS = ["sums", "far-sums", "sampled-sums", "sampled-far-sums"] as const;

it("counts the queries that are far enough, however many tokens were there before", () => {
  const input = fc.record({
    kind: fc.constantFrom(...KINDS),
    nNew: fc.integer({ min: 1, max: 900 }),
    nPast: fc.integer({ min: 0, max: 300 }),
  });
  fc.assert(
    fc.property(input, ({ kind, nNew, nPast }) => {
      const asked = queriesOfKind(kind, nNew).flatMap(({ first, n }) =>
        Array.from({ length: n }, (_, i) => nPast + first + i),
      );
      const counts = counted(kind, nPast + nNew, nNew);
      for (const j of [0, nPast, nPast + (nNew >> 1), nPast + nNew - 1]) {
        const far = asked.filter((i) => i - j >= ACCUMULATIONS[kind].distance && i >= j);
        expect(counts[j]).toBe(far.length);
      }
    }),
    { numRuns: 60 },
  );
});

it("asks every query once, whatever the chunks", () => {
  const size = fc.integer({ min: 1, max: 700 });
  fc.assert(
    fc.property(
      fc.constantFrom(...KINDS),
      fc.integer({ min: 1, max: 3000 }),
      size,
      (kind, n, chunk) => {
        const all = queriesOfKind(kind, n).flatMap((s) =>
          Array.from({ length: s.n }, (_, i) => s.first + i),
        );
        const chunks: number[] = [];
        for (let at = 0; at < n; at += chunk) {
          for (const s of within(queriesOfKind(kind, n), at, Math.min(chunk, n - at))) {
            for (let i = 0; i < s.n; i++) chunks.push(at + s.first + i);
          }
        }
        expect(new Set(all).size).toBe(all.length);
        expect(chunks).toEqual(all);
      },
    ),
    { numRuns: 60 },
  );
});
