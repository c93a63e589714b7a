import * as Plot from "@observablehq/plot";
import { draw } from "../../page/draw.ts";
import { seriesLines } from "../../page/series.ts";
import type { Chart } from "../../page/page.ts";

/** A point of a line. */
export interface LinePoint {
  readonly line: string;
  /** A layer, or what the chart's x says. */
  readonly x: number;
  readonly y: number;
}

/** A line's numbers, one a layer. */
export function pointsOf(line: string, layers: readonly number[]): LinePoint[] {
  return layers.map((y, x) => ({ line, x, y }));
}

/** What lies behind the lines of a chart. */
export interface Behind {
  /** Between two numbers of each layer. */
  readonly band?: readonly {
    readonly x: number;
    readonly low: number;
    readonly high: number;
  }[];
  /** Lines of single heads. */
  readonly dots?: readonly { readonly x: number; readonly y: number }[];
}

export interface LineChart {
  readonly name: string;
  readonly caption: string;
  readonly points: readonly LinePoint[];
  /** Shares are drawn in percent. */
  readonly y: { readonly label: string; readonly log?: boolean; readonly percent?: boolean };
  readonly x?: { readonly label: string; readonly log?: boolean };
  readonly behind?: Behind;
}

/** Lines over the layers, or over whatever x says. */
export function lineChart({
  name,
  caption,
  points,
  y,
  x,
  behind: { band = [], dots = [] } = {},
}: LineChart): Chart {
  const lines = [...new Set(points.map(({ line }) => line))];
  const svg = draw({
    x:
      x === undefined
        ? layerAxis(points)
        : { label: x.label, ...(x.log === true && { type: "log", tickFormat: "~g" }) },
    y: {
      label: y.percent === true ? `${y.label}, %` : y.label,
      grid: true,
      ...(y.log === true ? { type: "log", nice: true, tickFormat: "~g" } : { zero: true }),
      ...(y.percent === true && { percent: true }),
    },
    series: lines,
    marks: [
      Plot.areaY(band, { x: "x", y1: "low", y2: "high", fillOpacity: 0.15 }),
      Plot.dot(dots, { x: "x", y: "y", r: 1.5, fill: "#999" }),
      ...seriesLines(points, lines, { x: "x", y: "y", series: "line" }),
    ],
  });
  return { name, caption, svg };
}

/** An axis with whole numbers alone, about a dozen. */
function layerAxis(points: readonly LinePoint[]): Plot.ScaleOptions {
  const last = Math.max(0, ...points.map(({ x }) => x));
  const step = [1, 2, 5, 10, 20].find((size) => last / size <= 12) ?? 50;
  const ticks = Array.from({ length: Math.floor(last / step) + 1 }, (_, i) => i * step);
  return { label: "layer", ticks, tickFormat: "d" };
}

export interface HeatChart {
  readonly name: string;
  readonly caption: string;
  readonly x: { readonly label: string; readonly names: readonly string[] };
  readonly y: { readonly label: string; readonly names: readonly string[] };
  /** Shares of 0 to 1: [y][x]. */
  readonly shares: readonly (readonly number[])[];
}

/** Shares as cells with their percentages, rows downwards. */
export function heatChart({ name, caption, x, y, shares }: HeatChart): Chart {
  const cells = shares.flatMap((row, r) =>
    row.map((share, c) => ({ row: y.names[r], column: x.names[c], share })),
  );
  const place = { x: "column", y: "row" } as const;
  const cellWidth = Math.max(46, ...x.names.map((label) => 10 + 6.5 * label.length));
  const margin = 30 + 6.5 * Math.max(4, ...y.names.map((label) => label.length));
  const svg = draw({
    marginLeft: margin,
    width: margin + 40 + cellWidth * x.names.length,
    marginTop: 8,
    marginBottom: 44,
    height: 52 + 18 * y.names.length,
    x: { label: x.label, domain: x.names },
    y: { label: y.label, domain: y.names, labelOffset: margin - 8 },
    color: { type: "linear", domain: [0, 1], scheme: "blues" },
    marks: [
      Plot.cell(cells, { ...place, fill: "share" }),
      Plot.text(cells, {
        ...place,
        text: ({ share }: { share: number }) => (100 * share).toFixed(0),
        fill: ({ share }: { share: number }) => (share > 0.6 ? "white" : "black"),
      }),
    ],
  });
  return { name, caption, svg };
}
