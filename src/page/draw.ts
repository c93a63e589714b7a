import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

// Their types are written in the DOM's, which are not Node's.
const plot = Plot.plot as unknown as (o: object) => SvgElement & { scale(name: string): Scale };
const parse = parseHTML as unknown as (html: string) => { readonly document: object };

const WIDTH = 640;
/** Of the legend: where names begin, behind the label of the y axis, and the height of a row. */
const LEGEND = { left: 150, row: 16 };

/** A plot as one SVG that needs nothing else. The legend, of the colours' domain, becomes part of it. */
export function draw({ color, width = WIDTH, ...options }: Plot.PlotOptions): string {
  const { document } = parse("<html><body></body></html>");
  const legend = color?.legend === true ? legendPlaces(color.domain as string[], width) : [];
  const rows = (legend.at(-1)?.row ?? -1) + 1;
  const svg = plot({
    ...{ width, marginTop: 30 + LEGEND.row * rows, marginLeft: 50, ...options, document },
    style: { fontFamily: "system-ui, sans-serif", fontSize: "11px", background: "white" },
    color: { ...color, legend: false },
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  if (legend.length > 0) addLegend(svg, svg.scale("color"), legend);
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
  apply(value: string): string;
}

interface LegendPlace {
  readonly name: string;
  readonly x: number;
  readonly row: number;
}

/** Names beside each other, in as many rows as they need. */
function legendPlaces(names: readonly string[], width: number): LegendPlace[] {
  let [x, row] = [LEGEND.left, 0];
  return names.map((name) => {
    const size = 24 + 6.5 * name.length;
    if (x > LEGEND.left && x + size > width) [x, row] = [LEGEND.left, row + 1];
    const place = { name, x, row };
    x += size;
    return place;
  });
}

/** Names in their colours, at the top. */
function addLegend(svg: SvgElement, scale: Scale, places: readonly LegendPlace[]): void {
  const { ownerDocument: document } = svg;
  const add = (tag: string, attributes: object): SvgElement => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
    svg.append(element);
    return element;
  };
  for (const { name, x, row } of places) {
    const y = 12 + LEGEND.row * row;
    add("circle", { cx: x, cy: y, r: 4, fill: scale.apply(name) });
    add("text", { x: x + 8, y: y + 4, "text-anchor": "start" }).textContent = name;
  }
}
