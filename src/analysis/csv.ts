import { csvFormat } from "d3-dsv";
import { waysNames, type Analyzed } from "./analyzed.ts";

/** One number: what it is of, and the value. Empty where it has no such coordinate. */
interface Row {
  readonly model: string;
  readonly text: string;
  /** The statistic's name in the library: `funnel.topMass`. */
  readonly statistic: string;
  readonly layer: number | "";
  /** Query head, or kv head where the statistic has one value for each of these. */
  readonly head: number | "";
  /** K, share, distance, first position, window, error and quantile, method … */
  readonly at: string | number;
  readonly value: number;
}

type Cells = readonly Omit<Row, "model" | "text">[];
type PerHead = readonly (readonly number[])[];
type PerHeadAndPlace = readonly (readonly (readonly number[])[])[];

/** What was found of layers, heads and stretches of text as one table of single values, which data tools take as it is. */
export function analysisCsv(texts: readonly Analyzed[]): string {
  const rows = texts.flatMap((one): Row[] => {
    const { model, text } = one;
    return cellsOf(one).map((cell) => ({ model, text, ...cell }));
  });
  const columns = ["model", "text", "statistic", "layer", "head", "at", "value"] as const;
  return `${csvFormat(
    rows.map((row) => ({ ...row, value: Number(row.value.toPrecision(6)) })),
    [...columns],
  )}\n`;
}

function cellsOf({ found, fitted, retention }: Analyzed): Cells {
  const { funnel, needs, locality } = found;
  return [
    ...(funnel === undefined
      ? []
      : [
          ...placed("funnel.topMass", funnel.topMass, funnel.topKs),
          ...placed("funnel.topShareMass", funnel.topShareMass, funnel.topShares),
          ...placed("funnel.reach", funnel.reach, funnel.topKs),
          ...perHead("funnel.entropy", funnel.entropy),
          ...perHead("funnel.effectiveKeys", funnel.effectiveKeys),
          ...perHead("funnel.sinks", funnel.sinks),
          ...perHead("funnel.window", funnel.window),
        ]),
    ...(needs === undefined
      ? []
      : [
          ...(["own", "shared"] as const).flatMap((name) =>
            needs.errors.flatMap((error, e) =>
              placed(
                `needs.${name}`,
                needs[name].map((heads) => heads.map((errors) => errors[e] ?? [])),
                needs.quantiles.map((q) => `${error} quantile ${q}`),
              ),
            ),
          ),
          ...placed("needs.left", needs.left, needs.sizes),
        ]),
    ...(locality === undefined
      ? []
      : [
          ...placed("locality.byDistance", locality.byDistance, locality.distances),
          ...placed(
            "locality.byPosition",
            locality.byPosition,
            locality.byPosition[0]?.[0]?.map((_, i) => i * locality.stretch) ?? [],
          ),
          ...placed("locality.outside", locality.outside, locality.windows),
        ]),
    ...fitted.flatMap(({ kvSize, budgets }) => perHead("fitted.budgets", budgets, kvSize)),
    ...(retention === undefined ? [] : retentionCells(retention)),
  ];
}

function retentionCells({ ways }: NonNullable<Analyzed["retention"]>): Cells {
  const names = waysNames(ways.map(({ way }) => way));
  return ways.flatMap(({ captured, errors, headOverlap, drift, best }, i) => {
    const name = names[i] as string;
    const series = (statistic: string, values: readonly number[]) =>
      values.map((value, stretch) => ({
        statistic,
        layer: "" as const,
        head: "" as const,
        value,
        at: `${name} stretch ${stretch}`,
      }));
    return [
      ...perHead("retention.captured", captured, name),
      ...perLayer("retention.errors", errors, name),
      ...perLayer("retention.headOverlap", headOverlap, name),
      ...series("retention.drift", drift),
      ...series("retention.best", best),
    ];
  });
}

/** [nLayer][heads][places] */
function placed(
  statistic: string,
  table: PerHeadAndPlace,
  places: readonly (string | number)[],
): Cells {
  return table.flatMap((heads, layer) =>
    heads.flatMap((byPlace, head) =>
      byPlace.map((value, i) => ({ statistic, layer, head, at: places[i] ?? i, value })),
    ),
  );
}

function perHead(statistic: string, table: PerHead, at: string | number = ""): Cells {
  return table.flatMap((heads, layer) =>
    heads.map((value, head) => ({ statistic, layer, head, at, value })),
  );
}

function perLayer(statistic: string, values: readonly number[], at: string | number): Cells {
  return values.map((value, layer) => ({ statistic, layer, head: "" as const, at, value }));
}
