import * as Plot from "@observablehq/plot";
import { mean } from "../mean.ts";
import { draw } from "../page/draw.ts";
import type { Chart, Page, PageSection, Table } from "../page/page.ts";
import type { Analysis } from "./analyze.ts";
import type { FittedBudget } from "./fit.ts";
import { overHeads } from "./means.ts";
import { TOP_KS } from "./studies/funnel.ts";

/** The size that reach is drawn for. */
const REACH = 128;

/** A text's findings with its name, and the budget that fits them. */
export interface NamedAnalysis {
  readonly text: string;
  readonly found: Analysis;
  readonly fitted: FittedBudget;
}

/** Findings as one page: all texts beside each other, then each text on its own. */
export function analysisPage(all: readonly NamedAnalysis[]): Page {
  const models = [...new Set(all.map(({ found }) => found.model))];
  return {
    title: `Where attention goes: ${models.join(", ")}`,
    notes: all.map(
      ({ text, found }) =>
        `${text}: ${found.n} tokens, averages over ${found.queries.spread.length} queries spread over them.`,
    ),
    sections: [together(all), ...all.map(ofText)],
  };
}

/** One number a layer. */
interface LayerPoint {
  readonly layer: number;
  readonly line: string;
  readonly y: number;
}

function layerLines(
  name: string,
  caption: string,
  points: readonly LayerPoint[],
  y: { readonly label: string; readonly log?: boolean },
): Chart {
  const svg = draw({
    x: { label: "layer" },
    y: { label: y.label, grid: true, ...(y.log === true ? { type: "log" } : { zero: true }) },
    color: { legend: true, domain: [...new Set(points.map(({ line }) => line))] },
    marks: [Plot.line(points, { x: "layer", y: "y", stroke: "line", marker: true })],
  });
  return { name, caption, svg };
}

const pointsOf = (line: string, layers: readonly number[]) =>
  layers.map((y, layer) => ({ layer, line, y }));

function together(all: readonly NamedAnalysis[]): PageSection {
  return {
    title: "All texts",
    notes: ["The budgets are those under which the layers' best sets hold the most attention."],
    tables: [summary(all)],
    charts: [
      layerLines(
        "effective-keys",
        "Effective number of keys, e^entropy, averaged over heads.",
        all.flatMap(({ text, found }) => pointsOf(text, found.funnel.effectiveKeys.map(mean))),
        { label: "keys", log: true },
      ),
      layerLines(
        "reach",
        "Of the attention that the last 64 tokens give to those before: what the best " +
          `${REACH} tokens hold.`,
        all.flatMap(({ text, found }) =>
          pointsOf(
            text,
            overHeads(found.funnel.reach).map((own) => own[TOP_KS.indexOf(REACH)] as number),
          ),
        ),
        { label: "share" },
      ),
      layerLines(
        "fitted",
        "Tokens of each layer, fitted.",
        all.flatMap(({ text, fitted }) => pointsOf(text, fitted.budgets)),
        { label: "tokens" },
      ),
    ],
  };
}

function summary(all: readonly NamedAnalysis[]): Table {
  const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
  return {
    title: "Fitted budgets",
    head: ["text", "narrows at layer", "closest β", "held evenly", "by that pyramid", "fitted"],
    rows: all.map(({ text, found, fitted: { beta, reached } }) => [
      ...[text, String(found.funnel.narrowsAt ?? "nowhere"), beta.toFixed(1)],
      ...[percent(reached.even), percent(reached.pyramid), percent(reached.fitted)],
    ]),
  };
}

function ofText({ text, found }: NamedAnalysis): PageSection {
  const { funnel, needs, locality } = found;
  const layers = <T>(all: readonly (readonly T[])[], of: (own: T) => number) =>
    all.map((heads) => mean(heads.map(of)));
  const needed = (of: typeof needs.own, name: string) =>
    needs.errors.flatMap((error, e) =>
      pointsOf(
        `${name}, ${100 * error} %`,
        layers(of, (head) => Math.max(1, head[e]?.[1] ?? 1)),
      ),
    );
  return {
    title: text,
    notes: [],
    tables: [],
    charts: [
      layerLines(
        "needs-own",
        "Keys that a query needs of its own top ones for its output to be so far from the whole, in the median.",
        needed(needs.own, "own"),
        { label: "keys", log: true },
      ),
      layerLines(
        "needs-shared",
        "The same of one set for the last 64 tokens, as a cache has.",
        needed(needs.shared, "shared"),
        { label: "keys", log: true },
      ),
      layerLines(
        "sinks-window",
        "Attention on the first 4 tokens and on the newest 8.",
        [
          ...pointsOf("sinks", funnel.sinks.map(mean)),
          ...pointsOf("window", funnel.window.map(mean)),
        ],
        { label: "share" },
      ),
      layerLines(
        "outside",
        "Attention that neither a sliding window of so many tokens nor the first 4 hold.",
        locality.windows.flatMap((window, i) =>
          pointsOf(
            String(window),
            layers(locality.outside, (head) => head[i] as number),
          ),
        ),
        { label: "share" },
      ),
    ],
  };
}
