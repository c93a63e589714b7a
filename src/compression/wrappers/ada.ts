import { PyramidKVError } from "../../errors.ts";
import type { BudgetPolicy } from "../budgets/budget.ts";
import { share } from "../budgets/share.ts";
import type { Method } from "../method.ts";
import { kthLargest } from "../select.ts";
import { ofMethod, type Wrapper } from "../wrapper.ts";

export const ada: Wrapper = {
  summary: "a layer's budget divided over its heads by their scores",
  standing: "paper",
  paper: "arXiv 2407.11550",
  deviations: [
    "real-valued budgets are rounded so that a layer's sum is exact (the authors round each)",
    "equal scores at the threshold count for the lower head first (the authors count all of them)",
    "scores are compared as the method gives them (the authors' runner weights a head's by the share that its own best hold, `normalize`)",
  ],
  argument: "share of an even budget that every head keeps (0.2)",
  wrap: ofMethod(byHeads),
};

/** Share of a layer's even budget that every head keeps whatever its scores: the authors' safeguard. */
const DEFAULT_FLOOR = 0.2;

/**
 * A layer's tokens go to those of its kv heads whose scores are spread widest: the best-scored tokens of all heads
 * together are kept, and each head at least `floor` of an even share.
 *
 * Paper: Ada-KV, arXiv 2407.11550 (snapkv_utils.py of FFY0/AdaKV): without what is kept by force, a head's budget is
 * (1 − floor) · its tokens among the layer's top k + floor · k / heads. Scores are compared as the method gives them.
 */
function byHeads(method: Method, argument?: number): Method {
  const floor = argument ?? DEFAULT_FLOOR;
  if (!(floor >= 0 && floor <= 1)) {
    throw new PyramidKVError("USAGE", `ada's floor must be between 0 and 1, got ${floor}`);
  }
  const { budget } = method;
  if (budget.kind !== "layers") {
    throw new PyramidKVError(
      "USAGE",
      `ada needs budgets per layer, ${method.name} has its own per head`,
    );
  }
  return { ...method, budget: splitByScores(budget.layers.bind(budget), floor) };
}

function splitByScores(
  layers: Extract<BudgetPolicy, { kind: "layers" }>["layers"],
  floor: number,
): BudgetPolicy {
  return {
    name: "ada",
    summary: "a layer's budget goes to the heads whose scores are spread widest",
    kind: "split",
    layers,
    split({ evidence, rankings }, total, { options: { sinks, window } }) {
      const caps = evidence.heads.map(({ n }) => n);
      const forced = sinks + window;
      const wanted = Math.max(0, Math.min(total, sum(caps)) - forced * caps.length);
      const scores = rankings.map((ranking, h) => {
        const end = Math.max(sinks, (caps[h] as number) - window);
        return ranking?.scores.subarray(sinks, end) ?? new Float32Array(0);
      });
      const counts = countsOfBest(scores, wanted);
      if (counts === undefined) return share(total, caps, 0, caps);
      const even = wanted / caps.length;
      const weights = counts.map((n) => forced + (1 - floor) * n + floor * even);
      return share(total, weights, 0, caps);
    },
  };
}

/** How many of the `k` best scores of all heads are each head's; undefined where there is nothing to count. */
function countsOfBest(scores: readonly Float32Array[], k: number): number[] | undefined {
  const joined = new Float32Array(sum(scores.map((head) => head.length)));
  let at = 0;
  for (const head of scores) joined.set(head, (at += head.length) - head.length);
  if (k === 0 || joined.length === 0) return undefined;
  const best = Math.min(k, joined.length);
  const least = kthLargest(joined, best);
  const above = scores.map((head) => head.reduce((n, x) => n + Number(x > least), 0));
  let ties = best - sum(above);
  return scores.map((head, h) => {
    const equal = Math.min(
      ties,
      head.reduce((n, x) => n + Number(x === least), 0),
    );
    ties -= equal;
    return (above[h] as number) + equal;
  });
}

function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((a, b) => a + b, 0);
}
