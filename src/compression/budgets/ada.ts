import { PyramidKVError } from "../../errors.ts";
import type { Method } from "../method.ts";
import { kthLargest } from "../select.ts";
import type { BudgetPolicy } from "./budget.ts";
import { share } from "./share.ts";

/** Share of a layer's even budget that every head keeps whatever its scores: the authors' safeguard. */
const DEFAULT_FLOOR = 0.2;

/**
 * A layer's tokens go to those of its kv heads whose scores are spread widest: the best-scored tokens of all heads
 * together are kept, and each head at least `floor` of an even share.
 *
 * Paper: Ada-KV, arXiv 2407.11550: budgets = (1 − floor) · tokens of each head among the layer's top-k + floor · even.
 * Scores are compared over their sums, so that no head wins by its scale. Heads become ragged, and really that small.
 */
export function ada(method: Method, argument?: number): Method {
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
    split({ evidence, rankings }, total, { options }) {
      const caps = evidence.heads.map(({ n }) => n);
      const even = total / caps.length;
      const forced = options.sinks + options.window;
      const wanted = Math.max(0, Math.min(total, sum(caps)) - forced * caps.length);
      const scores = rankings.map((ranking, h) => {
        const n = caps[h] as number;
        const own = ranking?.scores.slice(
          options.sinks,
          Math.max(options.sinks, n - options.window),
        );
        const whole = sum(own ?? []) || 1;
        return own?.map((x) => Math.max(0, x) / whole) ?? new Float32Array(0);
      });
      const all = new Float32Array(sum(scores.map((s) => s.length)));
      let at = 0;
      for (const s of scores) all.set(s, (at += s.length) - s.length);
      if (wanted === 0 || all.length === 0) return share(total, caps, 0, caps);
      const least = kthLargest(all, Math.min(wanted, all.length));
      const counts = scores.map((s) => s.reduce((n, x) => n + Number(x >= least), 0));
      const weights = counts.map((n) => (1 - floor) * (n + forced) + floor * even);
      return share(total, weights, Math.min(forced + 1, Math.floor(even)), caps);
    },
  };
}

function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((a, b) => a + b, 0);
}
