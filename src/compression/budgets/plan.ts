import { checkBudgets, checkWeights } from "../check.ts";
import { forcedTokens, type Compression } from "../resolve.ts";
import type { BudgetInput, RankedLayer } from "./budget.ts";
import { knownBudgets, raised } from "./known.ts";
import { share } from "./share.ts";

/** What budgets are divided over. */
export interface PlanShape {
  /** Layers that methods act on. */
  readonly nLayer: number;
  readonly nHeadKv: number;
  /** Tokens of the fullest kv head. */
  readonly nTokens: number;
}

/**
 * The budgets of one prefill, layer by layer: per kv head, the sinks and the window included. Every head gets what is
 * kept by force and one token more.
 *
 * @throws `USAGE` on budgets that are no whole numbers, or too few or too small
 */
export class BudgetPlan {
  readonly #input: BudgetInput;
  readonly #keepsAll: boolean;
  /** What is known before: per layer and kv head. */
  readonly #known: readonly (readonly number[])[] | undefined;
  readonly #weights: number[] = [];
  #budgets: number[][] = [];

  constructor(
    private readonly compression: Compression,
    shape: PlanShape,
  ) {
    const { method, options } = compression;
    this.#input = { ...shape, options };
    const sized = method.options.includes("kvSize") && method.budget.kind !== "measured";
    this.#keepsAll = sized && shape.nTokens <= options.kvSize;
    this.#known = this.#keepsAll ? undefined : knownBudgets(compression, this.#input);
  }

  /** The most tokens that any head keeps, where budgets are known before. */
  get longest(): number {
    const { nTokens } = this.#input;
    const budgets = this.#known?.flat() ?? [];
    return Math.min(nTokens, budgets.length > 0 ? Math.max(...budgets) : nTokens);
  }

  /** Whether this layer's heads keep all of their tokens, whatever their scores. */
  keepsAll(il: number, heads: readonly { readonly n: number }[]): boolean {
    if (this.#keepsAll) return true;
    const budgets = this.compression.method.budget.kind === "split" ? undefined : this.#known?.[il];
    return budgets !== undefined && heads.every(({ n }, h) => n <= (budgets[h] as number));
  }

  /**
   * Budgets of the layers so far, this one last, each per kv head; those of earlier layers may have
   * become smaller, never larger.
   */
  add(il: number, layer: RankedLayer): readonly (readonly number[])[] {
    const caps = layer.evidence.heads.map(({ n }) => n);
    const budgets = this.#keepsAll ? caps : this.#divide(il, layer, caps);
    this.#budgets[il] = budgets;
    return this.#budgets;
  }

  #divide(il: number, layer: RankedLayer, caps: number[]): number[] {
    const { method } = this.compression;
    const { budget, name } = method;
    const { nHeadKv } = this.#input;
    const layerBudgets = this.#known?.[il] ?? [];
    const within = (budgets: readonly number[]) =>
      budgets.map((b, h) => Math.min(b, caps[h] as number));
    switch (budget.kind) {
      case "layers":
      case "heads":
        return within(layerBudgets);
      case "split": {
        const total = layerBudgets.reduce((a, b) => a + b, 0);
        const budgets: unknown = budget.split(layer, total, this.#input);
        checkBudgets(name, "split", il, nHeadKv, budgets, 0);
        return within(raised(budgets, forcedTokens(this.compression) + 1));
      }
      case "measured": {
        const budgets: unknown = budget.measure(layer, this.#input);
        checkBudgets(name, "measure", il, nHeadKv, budgets);
        const least = forcedTokens(this.compression) + 1;
        return within(budgets.map((b) => Math.max(b, least)));
      }
      case "weighed":
        return this.#shareAll(il, layer, caps);
    }
  }

  #shareAll(il: number, layer: RankedLayer, caps: number[]): number[] {
    const { budget, name } = this.compression.method;
    if (budget.kind !== "weighed") return caps;
    const { nLayer, nHeadKv, options } = this.#input;
    const weights: unknown = budget.weigh(layer, this.#input);
    checkWeights(name, il, nHeadKv, weights);
    const mean = weights.reduce((a, b) => a + b, 0) / nHeadKv;
    // One budget for all heads of a layer, or one for each.
    const width = budget.level === true ? 1 : nHeadKv;
    this.#weights.push(...(budget.level === true ? [mean] : weights));
    // What was evicted cannot come back: an earlier budget is a cap.
    const limits = [...this.#budgets, caps].flatMap((layerCaps) =>
      budget.level === true ? [Math.max(...layerCaps)] : layerCaps,
    );
    const wanted: unknown = budget.least(options);
    checkBudgets(name, "least", il, 1, [wanted], 0);
    const least = Math.max(wanted as number, forcedTokens(this.compression) + 1);
    const shares = share(nLayer * width * options.kvSize, this.#weights, least, limits);
    const perLayer = (at: number) =>
      caps.map((_, h) => shares[at * width + Math.min(h, width - 1)] as number);
    this.#budgets = this.#budgets.map((_, at) => perLayer(at));
    return perLayer(this.#budgets.length);
  }
}
