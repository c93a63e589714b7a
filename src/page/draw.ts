import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { placeLabels, type Label } from "./labels.ts";
import { lookOf, type SeriesLook } from "./series.ts";

// Their types are written in the DOM's, which are not Node's.
const plot = Plot.plot as unknown as (o: object) => SvgElement & { scale(name: string): Scale };
const parse = parseHTML as unknown as (html: string) => { readonly document: object };

const SIZE = { width: 560, height: 320 };
/** The legend: where names begin, above the label of the y axis, and the height of a row. */
const LEGEND = { left: 8, row: 17, top: 8 };
/** Room for an axis with numbers and its name. */
const MARGINS = { marginLeft: 52, marginBottom: 44, marginRight: 24 };
/** The names of axes stand in their middle, away from the numbers. */
const AXES = {
  x: { labelAnchor: "center", labelArrow: "none", labelOffset: 36 },
  y: { labelAnchor: "center", labelArrow: "none", labelOffset: 46 },
} as const;

export interface DrawOptions extends Plot.PlotOptions {
  /** Names of lines, in the order of their looks: they become the legend. */
  readonly series?: readonly string[];
  /** Texts beside points, left out where there is no room. */
  readonly labels?: readonly Label[];
}

/** A plot as one SVG that needs nothing else, with its legend. */
export function draw({ series = [], labels = [], ...options }: DrawOptions): string {
  const { document } = parse("<html><body></body></html>");
  const { width, height } = { ...SIZE, ...options };
  const legend = series.length > 1 ? legendPlaces(series, width) : [];
  const rows = (legend.at(-1)?.row ?? -1) + 1;
  const looks = series.map((_, i) => lookOf(i));
  const top = rows === 0 ? 16 : LEGEND.top + LEGEND.row * rows + 12;
  const svg = plot({
    ...MARGINS,
    marginTop: top,
    ...options,
    width,
    document,
    height: options.height ?? height + top,
    style: { fontFamily: "system-ui, sans-serif", fontSize: "11px", background: "white" },
    x: { ...AXES.x, ...options.x },
    y: { ...AXES.y, ...options.y },
    ...(series.length > 0 && {
      color: { domain: series, range: looks.map(({ color }) => color) },
      symbol: { domain: series, range: looks.map(({ symbol }) => symbol) },
    }),
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  addLegend(svg, legend);
  if (labels.length > 0) {
    const [x, y] = [svg.scale("x"), svg.scale("y")];
    const bounds = { left: MARGINS.marginLeft, right: width, top };
    const places = labels.map((label) => ({ ...label, x: x.apply(label.x), y: y.apply(label.y) }));
    for (const { text, ...place } of placeLabels(places, bounds)) {
      const look = { "font-size": 10, "text-anchor": "start", fill: "currentColor" };
      add(svg, "text", { ...place, ...look }).textContent = text;
    }
  }
  return svg.outerHTML;
}

/** What is needed of the DOM, whose types are not Node's. */
interface SvgElement {
  readonly outerHTML: string;
  readonly ownerDocument: { createElementNS(namespace: string, name: string): SvgElement };
  textContent: string | null;
  setAttribute(name: string, value: string): void;
  append(...children: SvgElement[]): void;
}

interface Scale {
  apply(value: number): number;
}

interface LegendPlace {
  readonly name: string;
  readonly look: SeriesLook;
  readonly x: number;
  readonly row: number;
}

/** Names beside each other, in as many rows as they need. */
function legendPlaces(names: readonly string[], width: number): LegendPlace[] {
  let [x, row] = [LEGEND.left, 0];
  return names.map((name, i) => {
    const size = 36 + 6.5 * name.length;
    if (x > LEGEND.left && x + size > width) [x, row] = [LEGEND.left, row + 1];
    const place = { name, look: lookOf(i), x, row };
    x += size;
    return place;
  });
}

const SHAPES: Readonly<Record<SeriesLook["symbol"], string>> = {
  circle: "M -3.5 0 a 3.5 3.5 0 1 0 7 0 a 3.5 3.5 0 1 0 -7 0 Z",
  square: "M -3 -3 H 3 V 3 H -3 Z",
  triangle: "M 0 -4.2 L 3.7 2.6 H -3.7 Z",
};

/** Names in their looks, at the top. */
function addLegend(svg: SvgElement, places: readonly LegendPlace[]): void {
  for (const { name, look, x, row } of places) {
    const y = LEGEND.top + LEGEND.row * row;
    const line = { x1: x, x2: x + 18, y1: y, y2: y, stroke: look.color, "stroke-width": 1.5 };
    add(svg, "line", { ...line, "stroke-dasharray": look.dash });
    const shape = { d: SHAPES[look.symbol], fill: look.color };
    add(svg, "path", { ...shape, transform: `translate(${x + 9},${y})` });
    const text = { x: x + 22, y: y + 4, "text-anchor": "start", fill: "currentColor" };
    add(svg, "text", text).textContent = name;
  }
}

function add(svg: SvgElement, tag: string, attributes: object): SvgElement {
  const element = svg.ownerDocument.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== "") element.setAttribute(key, String(value));
  }
  svg.append(element);
  return element;
}
