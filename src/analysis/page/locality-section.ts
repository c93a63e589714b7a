import type { PageSection, Table } from "../../page/page.ts";
import { overHeads } from "../means.ts";
import { localLayers, type Locality } from "../studies/locality.ts";
import { percent, ranges } from "./format.ts";
import { heatChart, lineChart, pointsOf } from "./charts.ts";

/** Share of attention outside of a sliding window that does no harm. */
const LITTLE = 0.05;
/** Parts of the text that positions are drawn by. */
const PARTS = 8;

/** How far away, and where, attention goes. */
export function localitySection(name: string, locality: Locality): PageSection {
  const { distances, windows } = locality;
  const y = { label: "layer", names: locality.byDistance.map((_, il) => String(il)) };
  const outside = overHeads(locality.outside);
  return {
    title: `${name}: near and far`,
    notes: [],
    tables: [slidingWindows(locality)],
    charts: [
      heatChart({
        name: "distance",
        caption: "Attention by distance, in percent; 0 is a query's own key.",
        x: { label: "distance from, tokens", names: distances.map(String) },
        y,
        shares: overHeads(locality.byDistance),
      }),
      heatChart({
        name: "position",
        caption: "Attention by the eighths of the text that it goes to, in percent.",
        x: {
          label: "eighth of the text",
          names: Array.from({ length: PARTS }, (_, i) => String(i + 1)),
        },
        y,
        shares: overHeads(locality.byPosition).map(inParts),
      }),
      lineChart({
        name: "outside",
        caption: "Attention that neither a sliding window of so many tokens nor the first 4 hold.",
        points: windows.flatMap((window, i) =>
          pointsOf(
            String(window),
            outside.map((layer) => layer[i] as number),
          ),
        ),
        y: { label: "attention outside", percent: true },
      }),
    ],
  };
}

function slidingWindows(locality: Locality): Table {
  const layers = locality.outside.length;
  return {
    title: "Layers that a sliding window would serve",
    head: ["window", `layers with at most ${percent(LITTLE)} outside in every head`, "number"],
    rows: locality.windows.map((window) => {
      const local = localLayers(locality, window, LITTLE);
      return [String(window), ranges(local) || "none", `${local.length} of ${layers}`];
    }),
  };
}

/** Stretches added up to eighths. */
function inParts(stretches: readonly number[]): number[] {
  const parts = new Array<number>(PARTS).fill(0);
  stretches.forEach((share, i) => {
    const part = Math.floor((PARTS * i) / stretches.length);
    parts[part] = (parts[part] as number) + share;
  });
  return parts;
}
