import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

// Their types are written in the DOM's, which are not Node's.
const plot = Plot.plot as unknown as (o: object) => SvgElement & { scale(name: string): Scale };
const parse = parseHTML as unknown as (html: string) => { readonly document: object };

/** A plot as one SVG that needs nothing else. The legend becomes part of it. */
export function draw({ color, ...options }: Plot.PlotOptions): string {
  const { document } = parse("<html><body></body></html>");
  const legend = color?.legend === true;
  const svg = plot({
    ...{ width: 640, marginTop: legend ? 46 : 30, marginLeft: 50, ...options, document },
    style: { fontFamily: "system-ui, sans-serif", fontSize: "11px", background: "white" },
    color: { ...color, legend: false },
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  if (legend) addLegend(svg, svg.scale("color"));
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
  readonly domain: readonly string[];
  apply(value: string): string;
}

/** Names in their colours, in a row at the top. */
function addLegend(svg: SvgElement, scale: Scale): void {
  const { ownerDocument: document } = svg;
  let x = 150; // behind the label of the y axis
  for (const name of scale.domain) {
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [key, value] of Object.entries({ cx: x, cy: 12, r: 4, fill: scale.apply(name) })) {
      dot.setAttribute(key, String(value));
    }
    const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
    const place = { x: x + 8, y: 16, "text-anchor": "start" };
    for (const [key, value] of Object.entries(place)) text.setAttribute(key, String(value));
    text.textContent = name;
    svg.append(dot, text);
    x += 24 + 6.5 * name.length;
  }
}
