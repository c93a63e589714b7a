import { uniform } from "../budgets/uniform.ts";
import type { ListedMethod } from "../method.ts";

/**
 * Keeps the sinks, the window and tokens drawn at random: the floor that a method has to beat.
 *
 * The draw depends on the seed, the layer, the kv head and the token's index alone, so it is the same from run to run.
 */
export const random: ListedMethod = {
  name: "random",
  summary: "keeps sinks, window and random tokens: the floor for all others",
  standing: "research",
  queryAware: false,
  needs: [],
  options: ["kvSize", "window", "sinks", "seed"],
  defaults: { sinks: 4, window: 8 },
  budget: uniform,
  score: ({ il, heads }, { seed }) =>
    heads.map(({ n }, h) => ({
      scores: Float32Array.from({ length: n }, (_, i) => hash(seed, il, h, i)),
    })),
};

/** A number in [0, 1) from whole numbers, by the mixing steps of MurmurHash3. */
function hash(...parts: number[]): number {
  let h = 0x9e3779b9;
  for (const part of parts) {
    h = Math.imul(h ^ part, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
  }
  return (h >>> 8) / 2 ** 24;
}
