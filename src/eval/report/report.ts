import type { Chart, Page } from "../../page/page.ts";
import { keyOf, type ResultRow } from "../run/result-row.ts";
import { needleMap, paretoFront, scoreCurves } from "./charts.ts";
import { resultSections, type TableSection } from "./sections.ts";

/** Results as tables and pictures, a section for each model, suite and mode. */
export function makeReport(rows: readonly ResultRow[]): Page {
  const unique = [...new Map(rows.map((row) => [keyOf(row), row])).values()];
  const models = [...new Set(unique.map(({ model }) => model))];
  const kernels = [...new Set(unique.map((row) => row.kernels))];
  return {
    title: `Compressed KV caches: ${models.join(", ")}`,
    notes: [`${unique.length} answers, kernels ${kernels.join(", ")}.`],
    sections: resultSections(unique).map((section) => ({ ...section, charts: chartsOf(section) })),
  };
}

function chartsOf({ lines }: TableSection): Chart[] {
  const isGrid = new Set(lines.flatMap(({ kvSize }) => kvSize ?? [])).size > 1;
  const map = needleMap(lines);
  return [...(isGrid ? [scoreCurves(lines)] : []), paretoFront(lines), ...(map ? [map] : [])];
}
