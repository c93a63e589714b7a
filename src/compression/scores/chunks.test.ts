import fc from "fast-check";
import { expect, it } from "vitest";
import { inChunks } from "./chunks.ts";

const scores = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 60 });

it("ranks stretches by their mean, tokens within them by score, the earlier first on ties", () => {
  fc.assert(
    fc.property(scores, fc.integer({ min: 1, max: 9 }), (values, size) => {
      const mean = (c: number) => {
        const own = values.slice(c * size, (c + 1) * size);
        return Math.fround(own.reduce((a, b) => a + b, 0) / own.length);
      };
      const chunk = (i: number) => Math.floor(i / size);
      const ascending = values
        .map((_, i) => i)
        .sort(
          (a, b) =>
            mean(chunk(a)) - mean(chunk(b)) ||
            chunk(b) - chunk(a) ||
            (values[a] as number) - (values[b] as number) ||
            b - a,
        );
      const places = new Float32Array(values.length);
      ascending.forEach((i, place) => (places[i] = place));
      expect(inChunks(Float32Array.from(values), size)).toEqual(places);
    }),
  );
});
