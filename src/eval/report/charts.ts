import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { ResultRow } from "../run/result-row.ts";
import type { WaySummary } from "../run/summary.ts";

/** A picture with its text. */
export interface Chart {
  readonly name: string;
  readonly caption: string;
  /** A whole SVG document. */
  readonly svg: string;
}

const nameOf = ({ method, kvType }: Pick<WaySummary, "method" | "kvType">) =>
  kvType === "f16" ? method : `${method}, ${kvType}`;

/** Average score against tokens kept, one line a method; the full cache is the dashed line. */
export function scoreCurves(lines: readonly WaySummary[]): Chart {
  const points = lines.flatMap((line) =>
    line.kvSize === undefined
      ? []
      : [{ method: nameOf(line), kept: line.kvSize, score: line.average }],
  );
  const full = lines.filter(({ kvSize }) => kvSize === undefined);
  return {
    name: "score-by-size",
    caption: "Average score against tokens kept per layer and kv head. Dashed: the full cache.",
    svg: draw({
      x: { type: "log", base: 2, label: "tokens kept", tickFormat: "d", ticks: sizesOf(points) },
      y: { label: "average score", grid: true, zero: true },
      color: { legend: true },
      marks: [
        Plot.ruleY(full, { y: "average", strokeDasharray: "4 3" }),
        Plot.line(points, { x: "kept", y: "score", stroke: "method", marker: true }),
      ],
    }),
  };
}

function sizesOf(points: readonly { readonly kept: number }[]): number[] {
  return [...new Set(points.map(({ kept }) => kept))].sort((a, b) => a - b);
}

/** Average score against bytes held; those that nothing smaller beats are joined. */
export function paretoFront(lines: readonly WaySummary[]): Chart {
  const points = lines.map((line) => ({
    way: `${nameOf(line)}${line.kvSize === undefined ? "" : ` ${line.kvSize}`}`,
    method: nameOf(line),
    megabytes: line.kvBytes / 1e6,
    score: line.average,
  }));
  const front = points
    .filter((p) => !points.some((o) => dominates(o, p)))
    .sort((a, b) => a.megabytes - b.megabytes);
  return {
    name: "score-by-bytes",
    caption:
      "Average score against the bytes that the cache holds. Joined: what nothing as small beats.",
    svg: draw({
      x: { type: "log", label: "MB of keys and values" },
      y: { label: "average score", grid: true, zero: true },
      color: { legend: true },
      marks: [
        Plot.line(front, { x: "megabytes", y: "score", curve: "step-after", strokeOpacity: 0.4 }),
        Plot.dot(points, { x: "megabytes", y: "score", fill: "method", r: 4 }),
        Plot.text(front, { x: "megabytes", y: "score", text: "way", dy: -10, fontSize: 9 }),
      ],
    }),
  };
}

interface Cost {
  readonly megabytes: number;
  readonly score: number;
}

function dominates(o: Cost, p: Cost): boolean {
  const noWorse = o.megabytes <= p.megabytes && o.score >= p.score;
  return noWorse && (o.megabytes < p.megabytes || o.score > p.score);
}

/** Needles found, by length and depth, one field a method and size. */
export function needleMap(rows: readonly ResultRow[]): Chart | undefined {
  const cells = new Map<string, { way: string; length: number; depth: number; scores: number[] }>();
  for (const { method, options, facts: { length, depth } = {}, score } of rows) {
    if (length === undefined || depth === undefined) continue;
    const way = method === "full" ? method : `${method} ${String(options.kvSize)}`;
    const key = JSON.stringify([way, length, depth]);
    const cell = cells.get(key) ?? { way, length, depth, scores: [] };
    cell.scores.push(score);
    cells.set(key, cell);
  }
  if (cells.size === 0) return undefined;
  const data = [...cells.values()].map(({ scores, ...cell }) => ({
    ...cell,
    found: scores.reduce((a, b) => a + b, 0) / scores.length,
  }));
  const ways = [...new Set(data.map(({ way }) => way))];
  const depths = new Set(data.map(({ depth }) => depth)).size;
  const columns = Math.min(4, ways.length);
  const place = (way: string) => ways.indexOf(way);
  return {
    name: "needle-map",
    caption: "Needles found, by prompt length (across) and depth (down): green all, red none.",
    svg: draw({
      ...{ width: 860, height: 40 + Math.ceil(ways.length / columns) * (34 + 14 * depths) },
      padding: 0.05,
      x: { type: "band", label: "prompt tokens" },
      y: { type: "band", label: "depth" },
      fx: { axis: null, padding: 0.12 },
      fy: { axis: null, padding: 0.35 },
      color: { type: "linear", scheme: "RdYlGn", domain: [0, 1] },
      marks: [
        Plot.cell(data, {
          ...{ x: "length", y: "depth", fill: "found", inset: 0.5 },
          fx: (d: { way: string }) => place(d.way) % columns,
          fy: (d: { way: string }) => Math.floor(place(d.way) / columns),
        }),
        Plot.text(ways, {
          ...{ text: (way: string) => way, frameAnchor: "top-left", dy: -12, fontWeight: "bold" },
          fx: (way: string) => place(way) % columns,
          fy: (way: string) => Math.floor(place(way) / columns),
        }),
      ],
    }),
  };
}

// Their types are written in the DOM's, which are not Node's.
const plot = Plot.plot as unknown as (o: object) => SvgElement & { scale(name: string): Scale };
const parse = parseHTML as unknown as (html: string) => { readonly document: object };

/** A plot as one SVG that needs nothing else. The legend becomes part of it. */
function draw({ color, ...options }: Plot.PlotOptions): string {
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
  let x = 50;
  for (const name of scale.domain) {
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [key, value] of Object.entries({ cx: x, cy: 12, r: 4, fill: scale.apply(name) })) {
      dot.setAttribute(key, String(value));
    }
    const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
    text.setAttribute("x", String(x + 8));
    text.setAttribute("y", "16");
    text.textContent = name;
    svg.append(dot, text);
    x += 24 + 6.5 * name.length;
  }
}
