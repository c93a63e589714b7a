import { mean } from "../../mean.ts";
import type { Chart, PageSection, Table } from "../../page/page.ts";
import { overHeads } from "../means.ts";
import type { KeptTokens, Retention } from "../retention.ts";
import { TOP_KS } from "../studies/funnel.ts";
import { namesOf, type Analyzed } from "../analyzed.ts";
import { percent } from "./format.ts";
import { lineChart, pointsOf } from "./charts.ts";

/** The size that reach is drawn for. */
const REACH = 128;

const FIT_NOTE =
  "The best budgets are those under which the best tokens, chosen with the text's last ones in sight, leave the smallest errors of the heads' outputs, " +
  "besides a window that counts for nothing. Methods choose before they see what follows, and keep their window too: their errors, below, are another measure.";

type Named<T> = T & { readonly name: string };

/** Texts and models beside each other. */
export function allTextsSection(texts: readonly Analyzed[]): PageSection {
  const names = namesOf(texts);
  const named = texts.map((one, i) => ({ ...one, name: names[i] as string }));
  const retentions = named.flatMap(({ name, retention }) =>
    retention === undefined ? [] : [{ name, ...retention }],
  );
  const fits = named.filter(({ fitted }) => fitted.length > 0);
  return {
    title: "All texts",
    notes: [
      "Averages over heads, unless they say something else.",
      ...(fits.length === 0 ? [] : [FIT_NOTE]),
    ],
    tables: [
      ...(fits.length === 0 ? [] : [fitTable(fits)]),
      ...waysTable("Error of attention's outputs", retentions, ({ errors }) => mean(errors)),
      ...waysTable(
        "Attention of the tokens that follow next, at most 64, that kept ones hold",
        retentions,
        held,
      ),
    ],
    charts: [
      ...funnelLines(named),
      ...(fits.length === 0 ? [] : [fitLines(fits)]),
      ...alphaLines(retentions),
    ],
  };
}

function held({ drift }: KeptTokens): number {
  return drift[0] as number;
}

function funnelLines(texts: readonly Named<Analyzed>[]): Chart[] {
  const funnels = texts.flatMap(({ name, found: { funnel } }) =>
    funnel === undefined ? [] : [{ name, ...funnel }],
  );
  if (funnels.length === 0) return [];
  return [
    lineChart({
      name: "effective-keys",
      caption: "Effective number of keys, e^entropy.",
      points: funnels.flatMap(({ name, effectiveKeys }) => pointsOf(name, effectiveKeys.map(mean))),
      y: { label: "effective number of keys", log: true },
    }),
    lineChart({
      name: "reach",
      caption: `Of the attention that the last tokens give to those before: what one set of the best ${REACH} tokens holds.`,
      points: funnels.flatMap(({ name, reach }) =>
        pointsOf(
          name,
          overHeads(reach).map((layer) => layer[TOP_KS.indexOf(REACH)] as number),
        ),
      ),
      y: { label: "attention held", percent: true },
    }),
  ];
}

function fitTable(texts: readonly Named<Analyzed>[]): Table {
  return {
    title: "The best budgets",
    head: [
      ...["text", "narrows at layer", "tokens a layer", "error, evenly"],
      ...["by the best pyramid", "its β", "by layer", "by kv head"],
    ],
    rows: texts.flatMap(({ name, found: { funnel }, fitted }) =>
      fitted.map(({ kvSize, beta, left }) => [
        ...[name, String(funnel?.narrowsAt ?? "nowhere"), String(kvSize), percent(left.even)],
        ...[percent(left.pyramid), beta.toFixed(1), percent(left.layers), percent(left.heads)],
      ]),
    ),
  };
}

function fitLines(texts: readonly Named<Analyzed>[]): Chart {
  return lineChart({
    name: "fitted",
    caption: `The best budgets of ${texts[0]?.fitted[0]?.kvSize} tokens on average, by kv head; each layer's mean.`,
    points: texts.flatMap(({ name, fitted: [first] }) =>
      pointsOf(name, (first?.budgets ?? []).map(mean)),
    ),
    y: { label: "tokens a kv head" },
  });
}

/** One number of each method, a line for each text and size; no table where no methods were looked at. */
function waysTable(
  title: string,
  retentions: readonly Named<Retention>[],
  value: (kept: KeptTokens) => number,
): Table[] {
  const compared = (retentions[0]?.ways ?? []).flatMap(({ way }) =>
    way.alpha === undefined ? [way] : [],
  );
  if (compared.length === 0) return [];
  const methods = [...new Set(compared.map(({ method }) => method))];
  const sizes = [...new Set(compared.map(({ kvSize }) => kvSize))];
  const cell = (ways: readonly KeptTokens[], method: string, kvSize: number | undefined) => {
    const isIt = ({ way }: KeptTokens) => way.method === method && way.kvSize === kvSize;
    const kept = ways.find((candidate) => isIt(candidate) && candidate.way.alpha === undefined);
    return kept === undefined ? "" : percent(value(kept));
  };
  return [
    {
      title,
      head: ["text", "tokens a layer", ...methods],
      rows: retentions.flatMap(({ name, ways }) =>
        sizes.map((size) => [
          ...[name, String(size ?? "all")],
          ...methods.map((method) => cell(ways, method, size)),
        ]),
      ),
    },
  ];
}

/** What is held, and lost, against the observation window: a line a text. */
function alphaLines(retentions: readonly Named<Retention>[]): Chart[] {
  const ways = retentions.flatMap(({ name, ways: textWays }) =>
    textWays.flatMap((kept) => (kept.way.alpha === undefined ? [] : [{ name, ...kept }])),
  );
  const [first] = ways;
  if (first === undefined) return [];
  const { method, kvSize } = first.way;
  const chart = (name: string, label: string, caption: string, y: (kept: KeptTokens) => number) =>
    lineChart({
      name,
      caption: `${caption}, by how many of the prompt's last tokens score the others (${method}, ${kvSize} a layer).`,
      points: ways.map((kept) => ({ line: kept.name, x: kept.way.alpha as number, y: y(kept) })),
      x: { label: "α, tokens", log: true },
      y: { label, percent: true },
    });
  return [
    chart(
      "alpha-held",
      "attention held",
      "Attention of the tokens that follow next, at most 64, that kept ones hold",
      held,
    ),
    chart("alpha-errors", "relative error", "Error of attention's outputs", ({ errors }) =>
      mean(errors),
    ),
  ];
}
