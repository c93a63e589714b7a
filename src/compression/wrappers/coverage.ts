import type { Method } from "../method.ts";
import { ofMethod, shareOf, type Wrapper } from "../wrapper.ts";

const DEFAULT_COVERAGE = 0.95;

export const coverage: Wrapper = {
  summary: "as many tokens as hold a share of the scores, instead of kvSize",
  standing: "research",
  argument: "the share (0.95)",
  divides: true,
  wrap: ofMethod(covering),
};

/**
 * As many tokens a layer as it takes to hold a stated share of its scores (for window-scored methods: of the
 * attention mass of the last prompt tokens). kvSize plays no part: the total is what comes of the prompt.
 */
function covering(method: Method, argument?: number): Method {
  const goal = shareOf("the share to cover", argument, DEFAULT_COVERAGE);
  return {
    ...method,
    budget: {
      name: "coverage",
      summary: "as many tokens as hold a stated share of the scores",
      kind: "measured",
      measure: ({ rankings, evidence }, { options }) => {
        const needed = rankings.map((ranking, h) => {
          const n = evidence.heads[h]?.n ?? 0;
          if (ranking === null) return n;
          const end = Math.max(options.sinks, n - options.window);
          return (
            tokensFor(goal, ranking.scores.slice(options.sinks, end)) + n - (end - options.sinks)
          );
        });
        // The same in all heads of a layer, so that they stay in one piece.
        return needed.map(() => Math.max(...needed));
      },
    },
  };
}

function tokensFor(goal: number, scores: Float32Array): number {
  const sorted = scores.map((x) => Math.max(0, x)).sort();
  const whole = sorted.reduce((a, b) => a + b, 0);
  let covered = 0;
  for (let k = 0; k < sorted.length; k++) {
    if (covered >= goal * whole) return k;
    covered += sorted[sorted.length - 1 - k] as number;
  }
  return sorted.length;
}
