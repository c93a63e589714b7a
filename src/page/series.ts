import * as Plot from "@observablehq/plot";

/** What a line or its points look like. */
export interface SeriesLook {
  readonly color: string;
  readonly symbol: (typeof SYMBOLS)[number];
  /** Dashes as in SVG; the line is solid where there are none. */
  readonly dash: string;
}

/** Colours that stand out on white and on black. */
const COLORS = [
  ...["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951"],
  ...["#ff8ab7", "#a463f2", "#7fb3f5", "#9c6b4e", "#9498a0"],
] as const;
const SYMBOLS = ["circle", "square", "triangle"] as const;
const DASHES = ["", "6 3", "2 3"] as const;

/** Looks for a list of names: ten colours, then the same with another symbol and dashes. */
export function lookOf(i: number): SeriesLook {
  const round = Math.floor(i / COLORS.length) % SYMBOLS.length;
  return {
    color: COLORS[i % COLORS.length] as string,
    symbol: SYMBOLS[round] as (typeof SYMBOLS)[number],
    dash: DASHES[round] as string,
  };
}

/** Where a chart's points have their places and names. */
interface Channels {
  readonly x: string;
  readonly y: string;
  readonly series: string;
}

/** Points, each in the look of its name; `draw` is given the same names. */
export function seriesDots(points: readonly object[], { x, y, series }: Channels): Plot.Markish {
  return Plot.dot(points as object[], { x, y, fill: series, symbol: series, r: 3.5 });
}

/** Lines with their points. */
export function seriesLines(
  points: readonly object[],
  names: readonly string[],
  { x, y, series }: Channels,
): Plot.Markish[] {
  const nameOf = (point: object) => (point as Readonly<Record<string, unknown>>)[series];
  const lines = DASHES.map((dash) => {
    const dashed = new Set<unknown>(names.filter((_, i) => lookOf(i).dash === dash));
    const shown = points.filter((point) => dashed.has(nameOf(point)));
    return Plot.line(shown, { x, y, z: series, stroke: series, strokeDasharray: dash });
  });
  return [...lines, seriesDots(points, { x, y, series })];
}
