import type { Analysis } from "./analyze.ts";
import type { FittedBudget } from "./fit.ts";
import type { KeptWay } from "./kept-by.ts";
import type { Retention } from "./retention.ts";
import type { Findings } from "./studies.ts";

/** What a model was found to attend to in a text. */
export interface Analyzed {
  /** The model and the text, as the page calls them. */
  readonly model: string;
  readonly text: string;
  /** The results of the studies that were made. */
  readonly found: Analysis<never> & Partial<Findings>;
  /** Budgets for what each layer needs; none where that was not studied. */
  readonly fitted: readonly FittedBudget[];
  readonly retention?: Retention;
}

/** Names that tell several findings apart: what differs of model and text. */
export function namesOf(analyzed: readonly Analyzed[]): string[] {
  const models = new Set(analyzed.map(({ model }) => model)).size;
  const texts = new Set(analyzed.map(({ text }) => text)).size;
  return analyzed.map(({ model, text }) =>
    models === 1 ? text : texts === 1 ? model : `${model}: ${text}`,
  );
}

/** A way's method, with those of its size and α that differ among the ways. */
export function waysNames(ways: readonly KeptWay[]): string[] {
  const differ = (of: (way: KeptWay) => number | undefined) => new Set(ways.map(of)).size > 1;
  const [sizes, alphas] = [differ((way) => way.kvSize), differ((way) => way.alpha)];
  return ways.map(({ method, kvSize, alpha }) =>
    [
      method,
      ...(sizes && kvSize !== undefined ? [String(kvSize)] : []),
      ...(alphas && alpha !== undefined ? [`α ${alpha}`] : []),
    ].join(" "),
  );
}
