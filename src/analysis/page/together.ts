import { mean } from "../../mean.ts";
import type { Chart, PageSection, Table } from "../../page/page.ts";
import { overHeads } from "../means.ts";
import type { Retention } from "../retention.ts";
import { REACH_KS } from "../studies/funnel.ts";
import { namesOf, percent, type Analyzed } from "./analyzed.ts";
import { lineChart, pointsOf } from "./charts.ts";

/** The size that reach is drawn for. */
const REACH = 128;

/** Texts and models beside each other. */
export function together(all: readonly Analyzed[]): PageSection {
  const names = namesOf(all);
  const named = all.map((one, i) => ({ ...one, name: names[i] as string }));
  const funnels = named.flatMap(({ name, found: { funnel }, fitted }) =>
    funnel === undefined ? [] : [{ name, funnel, fitted }],
  );
  const retentions = named.flatMap(({ name, retention }) =>
    retention === undefined ? [] : [{ name, retention }],
  );
  const funnelCharts = funnels.length === 0 ? [] : funnelLines(funnels);
  return {
    title: "All texts",
    notes: [
      "Averages over heads, unless they say something else. Fitted budgets are those under which the layers' best sets hold the most attention.",
    ],
    tables: [...(funnels.length === 0 ? [] : [summary(funnels)]), ...captures(retentions)],
    charts: [...funnelCharts, ...alphaLines(retentions)],
  };
}

type NamedFunnel = Required<Pick<Analyzed["found"], "funnel">> &
  Pick<Analyzed, "fitted"> & { readonly name: string };

interface NamedRetention {
  readonly name: string;
  readonly retention: Retention;
}

function funnelLines(funnels: readonly NamedFunnel[]): Chart[] {
  const size = funnels[0]?.fitted[0]?.kvSize;
  return [
    lineChart({
      name: "effective-keys",
      caption: "Effective number of keys, e^entropy.",
      points: funnels.flatMap(({ name, funnel }) => pointsOf(name, funnel.effectiveKeys.map(mean))),
      y: { label: "keys", log: true },
    }),
    lineChart({
      name: "reach",
      caption: `Of the attention that the last tokens give to those before: what one set of the best ${REACH} tokens holds.`,
      points: funnels.flatMap(({ name, funnel }) =>
        pointsOf(
          name,
          overHeads(funnel.reach).map((own) => own[REACH_KS.indexOf(REACH)] as number),
        ),
      ),
      y: { label: "share" },
    }),
    lineChart({
      name: "fitted",
      caption: `Tokens of each layer, fitted, of ${size} on average.`,
      points: funnels.flatMap(({ name, fitted: [first] }) => pointsOf(name, first?.budgets ?? [])),
      y: { label: "tokens" },
    }),
  ];
}

function summary(funnels: readonly NamedFunnel[]): Table {
  return {
    title: "Fitted budgets",
    head: [
      ...["", "narrows at layer", "tokens a layer", "closest β"],
      ...["held evenly", "by that pyramid", "fitted"],
    ],
    rows: funnels.flatMap(({ name, funnel, fitted }) =>
      fitted.map(({ kvSize, beta, reached }) => [
        ...[name, String(funnel.narrowsAt ?? "nowhere"), String(kvSize), beta.toFixed(1)],
        ...[percent(reached.even), percent(reached.pyramid), percent(reached.fitted)],
      ]),
    ),
  };
}

/** What each method captures, a line for each text and size. */
function captures(all: readonly NamedRetention[]): Table[] {
  const cells = all.flatMap(({ name, retention }) =>
    retention.ways.flatMap(({ way: { method, kvSize, alpha }, drift: [held] }) =>
      alpha === undefined ? [{ name, method, size: String(kvSize ?? "all"), held }] : [],
    ),
  );
  if (cells.length === 0) return [];
  const methods = [...new Set(cells.map(({ method }) => method))];
  const lines = new Map(cells.map(({ name, size }) => [`${name} ${size}`, { name, size }]));
  return [
    {
      title: "Attention of the next 64 tokens that kept ones hold",
      head: ["", "tokens a layer", ...methods],
      rows: Array.from(lines.values(), ({ name, size }) => [
        ...[name, size],
        ...methods.map((method) => {
          const own = cells.find((c) => c.name === name && c.size === size && c.method === method);
          return own?.held === undefined ? "" : percent(own.held);
        }),
      ]),
    },
  ];
}

/** What is captured against the observation window, a line a text. */
function alphaLines(all: readonly NamedRetention[]): Chart[] {
  const points = all.flatMap(({ name, retention }) =>
    retention.ways.flatMap(({ way: { alpha }, drift }) =>
      alpha === undefined ? [] : [{ line: name, x: alpha, y: drift[0] as number }],
    ),
  );
  if (points.length === 0) return [];
  const way = all[0]?.retention.ways.find(({ way: { alpha } }) => alpha !== undefined)?.way;
  return [
    lineChart({
      name: "alpha",
      caption: `Attention of the next 64 tokens that ${way?.method}'s kept ones hold, ${way?.kvSize} a layer, by how many of the prompt's last tokens score the others.`,
      points,
      x: { label: "α", log: true },
      y: { label: "share" },
    }),
  ];
}
